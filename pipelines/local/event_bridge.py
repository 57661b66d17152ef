# SPDX-License-Identifier: Apache-2.0
"""EventBridge: events find the rules of the default bus, and their targets are called, later and at least once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from pipelines.local.context import CloudContext
from pipelines.local.moto_mends import state_lock


def emit(
    account: str,
    region: str,
    detail_type: str,
    detail: dict[str, Any],
    resources: list[str],
    source: str = "aws.sagemaker",
) -> None:
    """Send an event as an AWS service does: to every matching rule of the account's default bus. Returns at once.

    Args:
        account: 12-digit account id.
        region: Region name.
        detail_type: For example "SageMaker Model Package State Change".
        detail: JSON-serialisable.
        resources: ARNs.
        source: The service's event source.
    """
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": resources,
        "detail": detail,
    }
    from moto.events.models import events_backends

    with state_lock:
        bus = events_backends[account][region].event_buses["default"]
        rules = list(bus.rules.values())
        for rule in rules:
            rule.send_to_targets(event)


def install(context: CloudContext) -> None:
    """Deliver to targets that moto does not know."""
