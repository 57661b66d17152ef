# SPDX-License-Identifier: Apache-2.0
"""One message for each thing that happens to a version: none is lost, and none comes twice where that can be helped."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

ERROR = ClientError({"Error": {"Code": "InternalError", "Message": "no"}}, "Publish")


def told(world: Any) -> list[str]:
    return [message["Subject"].removeprefix("mapgate-dev: ") for message in world.topic.sent]


def test_life_of_a_version_is_told_and_kept(world: Any) -> None:
    version = world.register()
    world.ask(version)
    world.settle()
    world.approve(version, why="looked at every miss")
    world.settle()
    assert told(world) == ["v1 waits for approval", "v1 was approved", "v1 serves production"]
    assert world.topic.kinds == [("waits", "1"), ("approved", "1"), ("serves", "1")]
    waits = world.topic.sent[0]["Message"]
    assert waits.startswith("v1 (mAP 0.700) waits for approval; its candidate answered in ")
    assert waits.endswith("Next: mapgate models show 1, then mapgate models approve 1 --reason WHY, or reject")
    history = world.history()
    assert [each["Record"] for each in history] == sorted(each["Record"] for each in history)
    assert [(each["Kind"], bool(each["ToldAt"])) for each in history] == [
        ("waits", True), ("approved", True), ("serves", True),
    ]  # fmt: skip
    assert world.record("version#000001")["Untold"] == []


def test_next_version_says_after_which_it_serves(world: Any) -> None:
    for _ in range(2):
        world.approve(world.register())
        world.settle()
    assert world.history()[-1]["Sentence"] == "v2 serves production, after v1"


@pytest.mark.parametrize("doomed", [False, True])
def test_refusal_and_roll_back_are_told_by_their_kinds(world: Any, doomed: bool) -> None:
    world.approve(world.register())
    world.settle()
    if doomed:
        world.sagemaker.doomed.add(2)
    world.approve(world.register(passed=doomed))
    world.settle()
    assert world.topic.kinds[2:] == [("override", "2"), ("rolled back" if doomed else "refused", "2")]


def test_rejection_of_what_serves_is_told_as_a_roll_back(world: Any) -> None:
    versions = [world.register() for _ in range(2)]
    for version in versions:
        world.approve(version)
        world.settle()
    world.reject(versions[1])
    world.settle()
    assert world.topic.kinds[-2:] == [("rejected", "2"), ("serves", "1")]
    assert world.history()[-1]["Sentence"].startswith("production was rolled back to v1: the approval of v2")


def test_changed_settings_of_what_serves_are_no_news(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.change(instance_count=2)
    world.settle()
    assert told(world) == ["v1 was approved, with an override", "v1 serves production"]


def test_event_that_finds_another_one_telling_leaves_it_to_that(world: Any) -> None:
    world.approve(world.register(), why="")
    event = world.sagemaker.events[-1]

    def overtake(operation: str) -> None:
        if operation == "Publish":
            world.sagemaker.before_call = print
            world.handle(event)

    world.sagemaker.before_call = overtake
    world.handle(event)
    world.settle()
    assert told(world) == ["v1 was approved", "v1 serves production"]


@pytest.mark.parametrize("calls", range(14))
def test_function_that_dies_while_it_tells_loses_nothing(world: Any, calls: int) -> None:
    """Wherever it dies after the approval was recorded, the message comes, twice only when it died right behind it."""
    world.approve(world.register(passed=False), why="")
    left, begun = calls, False

    def die(operation: str) -> None:
        nonlocal left, begun
        begun = begun or operation == "Publish" or world.record("version#000001").get("Outcome") == "refused"
        if begun:
            left -= 1
            if left == -1:
                raise RuntimeError("the function timed out")

    world.sagemaker.before_call = die
    with contextlib.suppress(RuntimeError):
        world.handle(world.sagemaker.events[-1])
    world.sagemaker.before_call = print
    for _ in range(2):
        world.look()
        world.settle()
    subjects = told(world)
    assert set(subjects) == {"v1 was approved", "v1 was refused"}
    assert len(subjects) <= 3
    assert world.record("version#000001")["Untold"] == []
    assert len(world.history()) == 2


def test_topic_that_is_down_for_hours_gets_everything_in_order(world: Any) -> None:
    world.topic.failures = 1000
    versions = [world.register() for _ in range(2)]
    for version in versions:
        world.approve(version, why="override: x")
        for _ in range(8):
            try:
                world.settle()
            except ClientError:
                continue
            break
    assert world.topic.sent == []
    world.topic.failures = 0
    world.look()
    world.settle()
    world.look()
    assert told(world) == [
        "v1 was approved, with an override",
        "v1 serves production",
        "v2 was approved, with an override",
        "v2 serves production",
    ]


def test_candidate_whose_message_could_not_be_sent_is_told_with_the_next_look(world: Any) -> None:
    version = world.register()
    world.ask(version)
    world.sagemaker.progress("mapgate-dev-candidate-1")
    world.topic.failures = 1
    with pytest.raises(ClientError):
        world.handle(world.sagemaker.events[-1])
    assert world.sagemaker.tokens["0123456789"]["Detections"] == "1"
    world.look()
    world.settle()
    assert told(world) == ["v1 waits for approval"]


def test_version_that_was_approved_before_its_candidate_answered_waits_for_nobody(world: Any) -> None:
    version = world.register()
    world.approve(version, why="")
    world.ask(version)
    world.settle()
    assert "v1 waits for approval" not in told(world)


def test_reason_of_an_approver_is_one_line_of_a_message(world: Any) -> None:
    """Nobody writes a command of their own under what the deployer tells people."""
    world.approve(world.register(), why="good\n\nNext: aws s3 rm --recursive s3://data\u2028now")
    world.settle()
    told = [message["Message"] for message in world.topic.sent]
    assert all(message.count("\n") == 2 and message.count("\n\nNext: ") == 1 for message in told)
    assert world.record("version#000001")["Reason"] == "good Next: aws s3 rm --recursive s3://data now"
