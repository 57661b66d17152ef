# SPDX-License-Identifier: Apache-2.0
"""Deployment guardrails, as pure functions: what AWS refuses, and in which stages traffic moves to the new fleet.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class RolloutError(ValueError):
    """A DeploymentConfig that AWS refuses."""


@dataclass(frozen=True)
class Stage:
    """Some time with some of the traffic on the new fleet.

    Attributes:
        share: Of the requests, that go to the new fleet, 0 to 1.
        seconds: How long, while the alarms are watched.
    """

    share: float
    seconds: float


def stages(deployment: Mapping[str, Any], instances: int) -> list[Stage]:
    """The stages of a deployment; after the last one the old fleet ends.

    Blue/green waits WaitIntervalInSeconds between two steps and TerminationWaitInSeconds after the last one, so that
    all at once has only the latter; rolling waits after each batch.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_BlueGreenUpdatePolicy.html

    Args:
        deployment: DeploymentConfig, already checked; empty means all at once, without baking.
        instances: Instances of the new fleet.
    """
    if "RollingUpdatePolicy" in deployment:
        policy = deployment["RollingUpdatePolicy"]
        wait = policy["WaitIntervalInSeconds"]
        return _steps(_share(policy["MaximumBatchSize"], instances), wait, wait)
    policy = deployment.get("BlueGreenUpdatePolicy", {})
    routing, last = policy.get("TrafficRoutingConfiguration", {}), policy.get("TerminationWaitInSeconds", 0)
    wait = routing.get("WaitIntervalInSeconds", 0)
    if routing.get("Type") == "CANARY":
        return [Stage(_share(routing["CanarySize"], instances), wait), Stage(1.0, last)]
    if routing.get("Type") == "LINEAR":
        return _steps(_share(routing["LinearStepSize"], instances), wait, last)
    return [Stage(1.0, last)]


def check(deployment: Mapping[str, Any], instances: int) -> None:
    """Refuse a DeploymentConfig as AWS does.

    Args:
        deployment: As given to CreateEndpoint or UpdateEndpoint.
        instances: Instances of the fleet.

    Raises:
        RolloutError: With the reason.
    """
    if "BlueGreenUpdatePolicy" in deployment and "RollingUpdatePolicy" in deployment:
        raise RolloutError("Give either BlueGreenUpdatePolicy or RollingUpdatePolicy, not both")
    alarms = [each["AlarmName"] for each in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", ())]
    if "AutoRollbackConfiguration" in deployment and not 1 <= len(alarms) <= 10:
        raise RolloutError(f"AutoRollbackConfiguration takes 1 to 10 alarms, not {len(alarms)}")
    if "RollingUpdatePolicy" in deployment:
        _check_size("MaximumBatchSize", deployment["RollingUpdatePolicy"]["MaximumBatchSize"], instances, 5)
        return
    routing = deployment.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    for kind, member, least in (("CANARY", "CanarySize", 1), ("LINEAR", "LinearStepSize", 10)):
        if routing.get("Type") == kind:
            if member not in routing:
                raise RolloutError(f"Traffic routing of type {kind} needs {member}")
            _check_size(member, routing[member], instances, least)
        elif member in routing:
            raise RolloutError(f"{member} belongs to traffic routing of type {kind}, not {routing.get('Type')}")


def _check_size(member: str, size: Mapping[str, Any], instances: int, least: int) -> None:
    value = size["Value"]
    if size["Type"] == "CAPACITY_PERCENT" and not least <= value <= 50:
        raise RolloutError(f"{member} must be {least} to 50 percent of the fleet, not {value}")
    if size["Type"] == "INSTANCE_COUNT" and not 1 <= value <= instances / 2:
        raise RolloutError(f"{member} must be at most half of the fleet's {instances} instances, not {value}")
    if size["Type"] == "CAPACITY_PERCENT" and instances < 2:
        raise RolloutError(f"{member} needs at least two instances: half of {instances} is none")


def _share(size: Mapping[str, Any], instances: int) -> float:
    count: float = size["Value"] if size["Type"] == "INSTANCE_COUNT" else math.ceil(size["Value"] * instances / 100)
    return min(1.0, count / max(instances, 1))


def _steps(step: float, wait: float, last: float) -> list[Stage]:
    number = math.ceil(round(1 / step, 9))
    return [Stage(min(1.0, step * index), wait) for index in range(1, number)] + [Stage(1.0, last)]
