# SPDX-License-Identifier: Apache-2.0
"""The deployer: every event triggers one reconciliation of what should be served with what is."""

from __future__ import annotations

from typing import Any

from deployments.events import route


def handler(event: dict[str, Any], context: object) -> None:  # noqa: ARG001
    """Receive EventBridge events, messages of the Callback queue and custom-resource requests."""
    route(event)
