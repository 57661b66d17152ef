# SPDX-License-Identifier: Apache-2.0
"""How an update reaches the traffic: what SageMaker's guardrails are asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .settings import DeployerSettings

_BAKING_SECONDS = 300
_UPDATE_SECONDS = 3600


def deployment_config(settings: DeployerSettings, alarms: Iterable[str], living: int, coming: int) -> dict[str, Any]:
    """Return UpdateEndpoint's DeploymentConfig: blue/green, by a canary where one is possible.

    A canary is at most half of a fleet, of the one that serves and of the one that comes, so both take two instances.
    The alarms watch the canary, and both ways they watch the new fleet once more under all of the traffic, before the
    old one ends.
    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-canary.html
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TrafficRoutingConfig.html

    Args:
        settings: The environment's.
        alarms: Names of alarms on the new fleet.
        living: Instances that serve now.
        coming: Instances of the new fleet.
    """
    routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    fewest = min(living, coming)
    if fewest >= 2:
        one_instance = math.ceil(100 / fewest)
        size = min(50, max(settings.canary_percent, one_instance))
        routing = {
            "Type": "CANARY",
            "WaitIntervalInSeconds": _BAKING_SECONDS,
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": size},
        }
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": _BAKING_SECONDS,
            "MaximumExecutionTimeoutInSeconds": _UPDATE_SECONDS,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }
