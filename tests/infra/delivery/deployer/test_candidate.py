# SPDX-License-Identifier: Apache-2.0
"""How the pipeline's candidates are brought up, tested, answered and taken away."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from infra.delivery.deployer.deployments.smoke import UnfitAnswerError, count_detections

NAME = "mapgate-dev-candidate-1"
TOKEN = "0123456789"  # noqa: S105


def left_behind(world: Any) -> dict[str, Any]:
    sagemaker = world.sagemaker
    return {**sagemaker.endpoints, **sagemaker.configs, **sagemaker.models}


def test_candidate_is_tested_answered_and_taken_away(world: Any) -> None:
    version = world.register()
    world.ask(version)
    assert world.sagemaker.endpoints[NAME].status == "Creating"
    assert world.sagemaker.tokens[TOKEN] is None
    world.settle()
    answer = world.sagemaker.tokens[TOKEN]
    assert answer["Detections"] == "1"
    assert float(answer["LatencyMilliseconds"]) >= 0
    assert {(one["ContentType"], one["Body"]) for one in world.runtime.requests} == {
        ("application/x-image", b"\xff\xd8jpeg")
    }
    assert left_behind(world) == {}
    assert world.sagemaker.violations == []


def test_same_message_twice_tests_once(world: Any) -> None:
    version = world.register()
    world.ask(version)
    world.ask(version)
    world.settle()
    requests = len(world.runtime.requests)
    world.ask(version)
    world.settle()
    assert len(world.runtime.requests) == requests
    assert left_behind(world) == {}


def test_same_endpoint_event_twice_answers_once(world: Any) -> None:
    world.ask(world.register())
    world.sagemaker.progress(NAME)
    world.sagemaker.events *= 2
    world.settle()
    assert world.sagemaker.tokens[TOKEN]["Detections"] == "1"
    assert left_behind(world) == {}


def test_candidate_that_does_not_come_up_fails_the_step(world: Any) -> None:
    world.sagemaker.doomed.add(1)
    world.ask(world.register())
    world.settle()
    assert "did not come up: The container did not pass the ping" in world.sagemaker.tokens[TOKEN]
    assert left_behind(world) == {}


def test_answer_that_holds_no_detections_list_fails_the_step(world: Any) -> None:
    world.runtime.answer = {"predictions": []}
    world.ask(world.register())
    world.settle()
    assert "no lists normalized_boxes" in world.sagemaker.tokens[TOKEN]
    assert left_behind(world) == {}


def test_candidate_whose_gate_did_not_pass_is_not_brought_up(world: Any) -> None:
    world.ask(world.register(passed=False))
    assert "did not pass its gate" in world.sagemaker.tokens[TOKEN]
    assert left_behind(world) == {}


def test_long_reason_is_cut_to_what_sagemaker_takes(world: Any) -> None:
    world.ask(world.register(gate={"passed": False, "sentence": "x" * 900}))
    assert len(world.sagemaker.tokens[TOKEN]) == 256


def test_stopping_answers_at_once_and_takes_the_endpoint_away_as_soon_as_it_can(world: Any) -> None:
    version = world.register()
    world.ask(version)
    world.ask(version, status="Stopping")
    assert world.sagemaker.tokens[TOKEN] == "the execution is being stopped"
    assert world.sagemaker.endpoints[NAME].status == "Creating"
    world.settle()
    assert world.runtime.requests == []
    assert left_behind(world) == {}


def test_stopping_that_overtakes_its_message_starts_nothing(world: Any) -> None:
    version = world.register()
    world.sagemaker.tokens[TOKEN] = None
    world.ask(version, status="Stopping")
    world.ask(version)
    assert world.sagemaker.tokens[TOKEN] == "the execution is being stopped"
    assert left_behind(world) == {}


@pytest.mark.parametrize("answered", ["by hand", "unknown"])
def test_token_that_nobody_waits_for_any_more_is_no_error(world: Any, answered: str) -> None:
    world.ask(world.register())
    world.sagemaker.tokens[TOKEN] = answered
    world.settle()
    assert world.sagemaker.tokens[TOKEN] == answered
    assert left_behind(world) == {}


def test_second_request_for_a_version_takes_the_first_one_over(world: Any) -> None:
    version = world.register()
    world.ask(version)
    world.ask(version, token="abcdefghij")  # noqa: S106
    world.settle()
    assert world.sagemaker.tokens["abcdefghij"]["Detections"] == "1"
    assert left_behind(world) == {}


def test_second_request_while_the_first_endpoint_is_still_going_waits_for_it(world: Any) -> None:
    version = world.register()
    world.ask(version)
    world.sagemaker.progress(NAME)
    world.deliver()
    assert world.sagemaker.endpoints[NAME].status == "Deleting"
    world.ask(version, token="abcdefghij")  # noqa: S106
    assert not world.sagemaker.tokens["abcdefghij"]
    world.settle()
    assert world.sagemaker.tokens["abcdefghij"]["Detections"] == "1"
    assert left_behind(world) == {}


def test_production_is_left_alone(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.ask(world.register())
    world.settle()
    assert world.serving() == world.named(1)
    assert set(world.sagemaker.configs) == {world.named(1)}


def test_crash_after_the_answer_is_mended_by_the_next_delivery(world: Any) -> None:
    world.ask(world.register())
    world.sagemaker.progress(NAME)

    def crash(operation: str) -> None:
        if operation == "DeleteEndpoint":
            raise ClientError({"Error": {"Code": "InternalFailure", "Message": "gone"}}, operation)

    world.sagemaker.before_call = crash
    event = world.sagemaker.events[-1]
    with pytest.raises(ClientError):
        world.handle(event)
    world.sagemaker.before_call = print
    world.handle(event)
    world.settle()
    assert world.sagemaker.tokens[TOKEN]["Detections"] == "1"
    assert left_behind(world) == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"[]",
        b'{"normalized_boxes": [[0, 0, 1, 1]], "classes": [], "scores": []}',
        b'{"normalized_boxes": [[0, 0, 1]], "classes": [0], "scores": [1]}',
        b'{"normalized_boxes": [[0, 0, 640, 480]], "classes": [0], "scores": [1]}',
        b'{"normalized_boxes": [[0.9, 0, 0.1, 1]], "classes": [0], "scores": [1]}',
        b'{"normalized_boxes": [[0, 0, 1, NaN]], "classes": [0], "scores": [1]}',
        b'{"normalized_boxes": [[0, 0, 1, 1]], "classes": [0], "scores": [7]}',
        b'{"normalized_boxes": [[0, 0, 1, 1]], "classes": [2], "scores": [1], "labels": ["a", "b"]}',
    ],
)
def test_unfit_answer_is_told_apart(answer: bytes) -> None:
    with pytest.raises(UnfitAnswerError):
        count_detections(answer)


box = st.tuples(*[st.floats(0, 1)] * 4).map(
    lambda e: [min(e[0], e[2]), min(e[1], e[3]), max(e[0], e[2]), max(e[1], e[3])]
)


@given(st.lists(box, max_size=20))
def test_any_fit_answer_is_counted(boxes: list[list[float]]) -> None:
    answer = {"normalized_boxes": boxes, "classes": [0.0] * len(boxes), "scores": [0.5] * len(boxes), "labels": ["a"]}
    assert count_detections(json.dumps(answer).encode()) == len(boxes)


def test_request_without_a_token_is_not_taken_for_a_trial_of_what_serves(world: Any) -> None:
    version = world.register()
    world.forget_verdict(version)
    world.ask(version, token="")
    assert world.sagemaker.endpoints == {}
