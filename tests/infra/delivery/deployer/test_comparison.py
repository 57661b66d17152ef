# SPDX-License-Identifier: Apache-2.0
"""A version that was compared with a champion of before is not deployed as if it had been compared with this one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from infra.delivery.deployer.deployments.comparison import again

EXECUTION = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/000000000003"


def compared(world: Any, champion: Any) -> Any:
    """Register a version that was measured against another one, or against nothing."""
    return world.register(recorded={"champion_arn": champion.arn if champion else "none"})


def serve(world: Any, version: Any) -> Any:
    world.approve(version, why="looked at every miss")
    world.settle()
    return version


def test_version_that_was_compared_with_what_serves_goes(world: Any) -> None:
    first = serve(world, compared(world, None))
    serve(world, compared(world, first))
    assert (world.champion(), world.topic.faults) == (2, [])


def test_version_that_was_compared_with_a_champion_of_before_is_refused(world: Any) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    serve(world, second)
    serve(world, third)
    assert (world.champion(), world.record("version#000003")["Outcome"]) == (2, "refused")
    (message,) = world.topic.faults
    assert "v3 was compared with v1, and v2 serves now" in message["Message"]
    assert again("mapgate-dev", EXECUTION) in message["Message"]
    assert "`mapgate models approve 3 --override --reason WHY`" in message["Message"]


def test_version_that_was_compared_with_nothing_is_refused_when_something_serves(world: Any) -> None:
    first, second = compared(world, None), compared(world, None)
    serve(world, first)
    serve(world, second)
    assert world.champion() == 1
    assert "v2 was compared with nothing, and v1 serves now" in world.topic.faults[0]["Message"]


def test_champion_that_changes_while_a_version_waits_its_turn_is_seen(world: Any) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    world.approve(second, why="")
    world.deliver()
    world.approve(third, why="")
    world.settle()
    assert (world.champion(), world.record("version#000003")["Outcome"]) == (2, "refused")


def test_override_with_a_reason_is_recorded_and_lets_it_go(world: Any) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    serve(world, second)
    serve(world, third)
    world.approve(third, why="override: a recall of the camera's maker")
    world.settle()
    record = world.record("version#000003")
    assert world.champion() == 3
    assert (record["Override"], record["Reason"]) == (True, "override: a recall of the camera's maker")
    (told,) = [each for each in world.history() if each["Kind"] == "override"]
    assert "with an override: a recall of the camera's maker" in told["Sentence"]


def test_override_that_no_event_announced_is_found_by_the_next_look(world: Any) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    serve(world, second)
    serve(world, third)
    world.look()
    world.settle()
    assert world.champion() == 2
    world.approve(third, why="override: a recall of the camera's maker")
    world.sagemaker.events.clear()
    world.look()
    world.settle()
    assert (world.champion(), world.record("version#000003")["Override"]) == (3, True)


def test_override_waives_nothing_else(world: Any) -> None:
    world.approve(world.register(passed=False), why="override: I know better")
    world.settle()
    assert world.sagemaker.endpoints == {}
    world.approve(world.register(recorded={"floor": "0" * 64}), why="override: I know better")
    world.settle()
    assert world.sagemaker.endpoints == {}


def test_version_that_has_served_goes_back_whatever_serves(world: Any) -> None:
    first = serve(world, compared(world, None))
    serve(world, compared(world, first))
    serve(world, first)
    assert (world.champion(), world.topic.faults) == (1, [])


def test_what_a_rejection_rolls_back_to_goes_through(world: Any) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    world.approve(second, why="")
    world.approve(third, why="")
    world.settle()
    assert world.champion() == 3
    world.reject(third)
    world.settle()
    assert world.champion() == 2
    told = world.history()[-1]
    assert (told["Kind"], told["Version"]) == ("serves", 2)
    assert told["Sentence"] == "production was rolled back to v2: the approval of v3 was withdrawn"


def test_version_of_an_older_release_that_serves_or_has_served_goes(world: Any) -> None:
    """Its records know neither who approved nor what has served, and PublishDossier recorded no verdict."""
    versions = [world.register() for _ in range(3)]
    for version in versions[:2]:
        serve(world, version)
        world.approve(version)
        world.settle()
    for version in versions:
        world.forget_verdict(version)
    for number in (1, 2):
        item = world.record(f"version#{number:06d}")
        new = ("ApprovedBy", "Reason", "Override", "ServedAt", "Decision", "RejectedBy", "LastNotice", "StatedAt")
        world.table.put_item(Item={name: value for name, value in item.items() if name not in new} | {"Untold": ""})
    world.reject(versions[1])
    world.settle()
    assert world.champion() == 1
    world.approve(versions[1])
    world.settle()
    assert world.champion() == 2
    world.approve(versions[2])
    world.settle()
    assert (world.champion(), world.record("version#000003")["Outcome"]) == (2, "refused")


def test_version_that_goes_back_under_another_floor_is_told_once(world: Any) -> None:
    first = serve(world, compared(world, None))
    serve(world, compared(world, first))
    world.settings = replace(world.settings, floor_policy_sha256="0" * 64)
    serve(world, first)
    world.look()
    world.settle()
    assert world.champion() == 1
    (message,) = world.topic.faults
    assert message["Subject"] == "mapgate-dev: v1 goes back all the same"
    assert message["Message"].startswith(
        "v1 was judged under the gate policy ffffffffffff, and the environment's is 0000"
    )
