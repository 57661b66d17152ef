# SPDX-License-Identifier: Apache-2.0
"""Deployment guardrails: refusals, and the stages of traffic."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.endpoints.rollout import RolloutError, Stage, check, stages


def blue_green(kind: str, wait: int = 60, end: int = 30, **sizes: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **sizes}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": end}}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def count(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


def test_without_a_policy_all_traffic_moves_at_once() -> None:
    assert stages({}, 1) == [Stage(1.0, 0)]


def test_a_canary_bakes_before_the_rest_follows() -> None:
    assert stages(blue_green("CANARY", CanarySize=percent(25)), 4) == [Stage(0.25, 60), Stage(1.0, 30)]


def test_all_at_once_bakes_only_before_the_old_fleet_ends() -> None:
    assert stages(blue_green("ALL_AT_ONCE"), 4) == [Stage(1.0, 30)]


def test_linear_shifting_bakes_between_its_steps_and_before_the_old_fleet_ends() -> None:
    first, second, third = stages(blue_green("LINEAR", LinearStepSize=count(1)), 3)
    assert [each.share for each in (first, second, third)] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert [each.seconds for each in (first, second, third)] == [60, 60, 30]


def test_rolling_replaces_batch_by_batch() -> None:
    rolling = {"RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 5}}
    assert stages(rolling, 2) == [Stage(0.5, 5), Stage(1.0, 5)]


@pytest.mark.parametrize(
    ("deployment", "instances", "sentence"),
    [
        (blue_green("CANARY", CanarySize=percent(51)), 4, "1 to 50 percent"),
        (blue_green("CANARY", CanarySize=count(2)), 3, "at most half of the fleet's 3 instances"),
        (blue_green("CANARY", CanarySize=percent(50)), 1, "at least two instances"),
        (blue_green("CANARY"), 4, "needs CanarySize"),
        (blue_green("LINEAR", LinearStepSize=percent(5)), 4, "10 to 50 percent"),
        (blue_green("ALL_AT_ONCE", CanarySize=percent(10)), 4, "belongs to traffic routing of type CANARY"),
        ({"AutoRollbackConfiguration": {"Alarms": []}}, 1, "1 to 10 alarms"),
    ],
)
def test_what_aws_refuses_is_refused(deployment: dict[str, Any], instances: int, sentence: str) -> None:
    with pytest.raises(RolloutError, match=sentence):
        check(deployment, instances)


def test_a_canary_of_half_the_fleet_is_allowed() -> None:
    check(
        blue_green("CANARY", CanarySize=count(1)) | {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}, 2
    )
