# SPDX-License-Identifier: Apache-2.0
"""SageMaker's events: a change of state is told to EventBridge, and never fails because somebody cannot be told."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from localcloud.events import event_bridge


def announce(account: str, region: str, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
    """Send an event of SageMaker's; what goes wrong is written to the cloud's log.

    Args:
        account: 12-digit account id.
        region: Region name.
        detail_type: Without the leading "SageMaker ".
        detail: JSON-serialisable.
        resources: ARNs.
    """
    try:
        event_bridge.emit(account, region, f"SageMaker {detail_type}", detail, resources)
    except Exception:  # rules and targets are other people's; the job goes on
        traceback.print_exc(file=sys.stderr)
