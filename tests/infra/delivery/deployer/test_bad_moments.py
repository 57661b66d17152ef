# SPDX-License-Identifier: Apache-2.0
"""What the deployer outlives: throttles, late descriptions, lost events, missing permissions, a topic that is down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

NAME = "mapgate-dev-candidate-1"
TOKEN = "0123456789"  # noqa: S105
YEAR_2100 = 4_102_444_800_000


def refusal(operation: str, code: str, message: str = "no", status: int = 400, **members: Any) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    answer |= members
    return ClientError(answer, operation)


def failing(operation: str, times: int, error: ClientError) -> Callable[[str], None]:
    """A disturbance of the first calls of an operation."""
    left = times

    def before(called: str) -> None:
        nonlocal left
        if called == operation and left:
            left -= 1
            raise error

    return before


MOMENTS = {
    "throttle": refusal("InvokeEndpoint", "ThrottlingException", "Rate exceeded"),
    "service": refusal("InvokeEndpoint", "InternalFailure", status=500),
    "dependency": refusal("InvokeEndpoint", "InternalDependencyException", status=530),
    "warming": refusal("InvokeEndpoint", "ModelNotReadyException", status=429),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_candidate_outlives_a_bad_moment_of_the_service(world: Any, moment: str) -> None:
    world.runtime.before_call = failing("InvokeEndpoint", 4, MOMENTS[moment])
    world.ask(world.register())
    world.settle()
    assert world.sagemaker.tokens[TOKEN]["Detections"] == "1"
    assert world.sagemaker.endpoints == {}


def test_candidate_does_not_wait_for_ever_for_a_service_that_stays_away(world: Any) -> None:
    world.runtime.before_call = failing("InvokeEndpoint", 1000, MOMENTS["throttle"])
    world.ask(world.register())
    begun = world.sagemaker.now
    world.settle()
    assert world.sagemaker.tokens[TOKEN] == f"{NAME}: Rate exceeded (InvokeEndpoint)"
    assert 540 <= world.sagemaker.now - begun <= 900
    assert world.sagemaker.endpoints == {}


@pytest.mark.parametrize(
    ("status", "times", "passes"), [(500, 2, True), (0, 2, True), (500, 9, False), (400, 1, False)]
)
def test_model_that_fails_its_requests_gets_few_chances(world: Any, status: int, times: int, passes: bool) -> None:
    """A request that the container refused (4xx) is refused every time."""
    error = refusal("InvokeEndpoint", "ModelError", "Received error", 424, OriginalStatusCode=status)
    world.runtime.before_call = failing("InvokeEndpoint", times, error)
    world.ask(world.register())
    world.settle()
    answer = world.sagemaker.tokens[TOKEN]
    assert answer["Detections"] == "1" if passes else answer == f"{NAME}: Received error (InvokeEndpoint)"
    assert len(world.runtime.requests) == (6 if passes else 0)


def test_candidate_waits_for_a_quota_that_another_one_uses(world: Any) -> None:
    error = refusal("CreateEndpoint", "ResourceLimitExceeded", "The account-level service limit is 1 Instances")
    world.sagemaker.before_call = failing("CreateEndpoint", 3, error)
    world.ask(world.register())
    world.settle()
    assert world.sagemaker.tokens[TOKEN]["Detections"] == "1"


def test_answer_without_a_detection_fails_the_step(world: Any) -> None:
    world.runtime.answer = {"normalized_boxes": [], "classes": [], "scores": [], "labels": ["a"]}
    world.ask(world.register())
    world.settle()
    assert "no detection" in world.sagemaker.tokens[TOKEN]


def test_candidate_that_is_described_late_is_not_given_up(world: Any) -> None:
    world.sagemaker.lag = 2
    world.ask(world.register())
    world.settle()
    assert world.sagemaker.tokens[TOKEN]["Detections"] == "1"


@pytest.mark.parametrize("lag", [1, 4])
def test_late_description_does_not_read_as_a_roll_back(world: Any, lag: int) -> None:
    world.approve(world.register())
    world.settle()
    world.sagemaker.lag = lag
    world.approve(world.register())
    world.settle()
    assert (world.serving(), world.champion()) == (world.named(2), 2)
    assert [update["EndpointConfigName"] for update in world.sagemaker.updates] == [world.named(2)]
    assert (world.topic.faults, world.sagemaker.violations) == ([], [])


def test_roll_back_is_still_seen_when_descriptions_are_late(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.sagemaker.lag = 2
    world.sagemaker.doomed.add(2)
    world.approve(world.register())
    world.settle()
    assert (world.champion(), world.record("version#000002")["Outcome"]) == (1, "failed")


def at(world: Any, operation: str, disturb: Callable[[], None]) -> None:
    """Let something happen once, in front of the next call of an operation."""

    def before(called: str) -> None:
        if called == operation:
            world.sagemaker.before_call = nothing
            disturb()

    world.sagemaker.before_call = before


def nothing(operation: str) -> None:
    """Let a call pass."""


@pytest.mark.parametrize("lag", [1, 2, 3])
@pytest.mark.parametrize(
    "operation", ["DescribeEndpoint", "CreateModel", "CreateEndpointConfig", "PutMetricAlarm", "UpdateEndpoint"]
)
def test_event_that_read_the_records_before_another_ones_order_does_not_fail_its_version(
    world: Any, operation: str, lag: int
) -> None:
    """Its own order is refused, and the description of the endpoint from before would make that a failure."""
    world.approve(world.register())
    world.settle()
    world.sagemaker.lag = lag
    world.approve(world.register())
    event = world.sagemaker.events[-1]

    def overtake() -> None:
        world.handle(event)
        world.sagemaker.progress("mapgate-dev")

    at(world, operation, overtake)
    world.handle(event)
    world.settle()
    assert (world.serving(), world.champion()) == (world.named(2), 2)
    assert [update["EndpointConfigName"] for update in world.sagemaker.updates] == [world.named(2)]
    assert (world.topic.faults, world.sagemaker.violations) == ([], [])


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_order_that_its_function_died_after_is_known_to_the_next_event(world: Any, lag: int) -> None:
    world.approve(world.register())
    world.settle()
    world.sagemaker.lag = lag
    world.approve(world.register())
    world.die_between_order_and_record()
    world.sagemaker.progress("mapgate-dev")
    world.settle()
    assert (world.serving(), world.champion()) == (world.named(2), 2)
    assert (world.topic.faults, world.sagemaker.violations) == ([], [])


@pytest.mark.parametrize("serving", [False, True])
def test_order_that_perhaps_was_not_taken_is_given_again(world: Any, serving: bool) -> None:
    """Only a description that had time to settle tells that it was not; that is no roll-back."""
    if serving:
        world.approve(world.register())
        world.settle()
    version = world.register()
    world.approve(version)
    order = "UpdateEndpoint" if serving else "CreateEndpoint"
    world.sagemaker.before_call = failing(order, 1, refusal(order, "InternalFailure", status=500))
    with pytest.raises(ClientError):
        world.handle(world.sagemaker.events[-1])
    ordered_at = world.sagemaker.now
    world.settle()
    assert (world.serving(), world.champion()) == (world.named(version.version), version.version)
    assert 300 <= world.sagemaker.now - ordered_at < 420
    assert (world.topic.faults, world.sagemaker.violations) == ([], [])


def test_order_that_was_refused_holds_nobody_up(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.approve(world.register())
    world.sagemaker.before_call = failing("UpdateEndpoint", 1, refusal("UpdateEndpoint", "ValidationException"))
    world.handle(world.sagemaker.events[-1])
    assert (world.record("version#000002")["Outcome"], world.queue.sent) == ("failed", [])
    world.approve(world.register())
    world.handle(world.sagemaker.events[-1])
    assert [update["EndpointConfigName"] for update in world.sagemaker.updates] == [world.named(3)]


def test_notice_that_could_not_be_sent_is_sent_by_the_next_event(world: Any) -> None:
    world.approve(world.register(passed=False))
    world.topic.failures = 1
    with pytest.raises(ClientError):
        world.deliver()
    assert world.record("version#000001")["Outcome"] == "refused"
    world.look()
    world.look()
    assert [message["Subject"] for message in world.topic.faults] == ["mapgate-dev: v1 was refused"]


def test_topic_that_is_down_does_not_keep_a_version_from_production(world: Any) -> None:
    world.approve(world.register(passed=False))
    world.topic.failures = 1000
    with pytest.raises(ClientError):
        world.deliver()
    world.approve(world.register())
    with pytest.raises(ClientError):
        world.handle(world.sagemaker.events[-1])
    assert world.sagemaker.endpoints["mapgate-dev"].config == world.named(2)


def test_withdrawal_of_the_last_approval_is_told_although_the_topic_was_down(world: Any) -> None:
    version = world.register()
    world.approve(version)
    world.settle()
    world.topic.failures = 1
    world.reject(version)
    with pytest.raises(ClientError):
        world.deliver()
    world.look()
    assert [message["Subject"] for message in world.topic.faults] == ["mapgate-dev: v1 keeps serving"]


@pytest.mark.parametrize(
    "error",
    [
        refusal("CreateModel", "AccessDeniedException", "not authorized to perform: iam:PassRole"),
        refusal("CreateEndpoint", "ResourceLimitExceeded", "The account-level service limit is 0 Instances"),
        refusal("CreateModel", "ValidationException", "Could not access model data at s3://b/k."),
        refusal("verify", "DisabledException", "key/1 is disabled."),
    ],
    ids=["permission", "quota", "role", "key"],
)
def test_version_waits_for_what_the_account_lacks(world: Any, error: ClientError) -> None:
    world.sagemaker.before_call = failing(error.operation_name, 2, error)
    world.approve(world.register())
    world.settle()
    assert world.record("version#000001")["Outcome"] is None
    world.look()
    (message,) = world.topic.faults
    assert message["Subject"] == "mapgate-dev: v1 waits"
    assert error.response["Error"]["Message"] in message["Message"]
    world.look()
    world.settle()
    assert world.champion() == 1
    assert len(world.topic.faults) == 1


@pytest.mark.parametrize("serving", [False, True])
@pytest.mark.parametrize(
    "lacking",
    [
        "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error.",
        "role/model is not authorized to perform: cloudwatch:DescribeAlarms",
        "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 1 Instances",
    ],
)
def test_version_waits_for_what_its_roll_out_found_lacking(world: Any, serving: bool, lacking: str) -> None:
    if serving:
        world.approve(world.register())
        world.settle()
    version = world.register()
    number = version.version
    world.sagemaker.doomed.add(number)
    world.sagemaker.lacking = lacking
    world.approve(version)
    world.settle()
    world.look()
    world.settle()
    assert world.champion() == (1 if serving else None)
    assert world.record(f"version#{number:06d}")["Outcome"] == "waiting"
    (message,) = world.topic.faults
    assert message["Subject"] == f"mapgate-dev: v{number} waits"
    assert lacking in message["Message"]
    world.sagemaker.doomed.clear()
    world.look()
    world.settle()
    assert world.champion() == number
    assert world.record(f"version#{number:06d}")["Sentence"] == ""
    assert len(world.topic.faults) == 1


def test_event_of_a_clock_that_is_wrong_does_not_pin_its_version(world: Any) -> None:
    first, second = world.register(), world.register()
    world.approve(first)
    world.sagemaker.events[-1]["detail"]["LastModifiedTime"] = YEAR_2100
    world.settle()
    world.approve(second)
    world.settle()
    assert world.champion() == 2


def test_approval_that_is_taken_back_wakes_the_deployer(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    second = world.register()
    world.approve(second)
    world.settle()
    world.sagemaker.review(2, "PendingManualApproval")
    world.settle()
    assert world.champion() == 1


def test_look_takes_up_what_no_event_announced(world: Any) -> None:
    world.approve(world.register())
    world.ask(world.register())
    world.sagemaker.events.clear()
    world.look()
    world.sagemaker.progress("mapgate-dev")
    world.sagemaker.progress("mapgate-dev-candidate-2")
    world.sagemaker.events.clear()
    world.look()
    assert world.champion() == 1
    assert world.sagemaker.tokens[TOKEN]["Detections"] == "1"


def test_fault_of_one_endpoint_does_not_keep_the_look_from_the_others(world: Any) -> None:
    world.ask(world.register())
    world.sagemaker.progress(NAME)
    world.sagemaker.before_call = failing("ListModelPackages", 1, refusal("ListModelPackages", "ThrottlingException"))
    with pytest.raises(ClientError):
        world.look()
    assert world.sagemaker.tokens[TOKEN]["Detections"] == "1"


def test_message_that_could_not_be_handled_comes_back_in_minutes(world: Any) -> None:
    body = '{"endpoint": "mapgate-dev"}'
    world.sagemaker.before_call = failing(
        "ListModelPackages", 9, refusal("ListModelPackages", "ThrottlingException", "Rate exceeded")
    )
    for count in range(1, 7):
        record = {"body": body, "receiptHandle": f"r{count}", "attributes": {"ApproximateReceiveCount": str(count)}}
        with pytest.raises(ClientError):
            world.handle({"Records": [record]})
    assert [(one["ReceiptHandle"], one["VisibilityTimeout"]) for one in world.queue.returns] == [
        ("r1", 60), ("r2", 120), ("r3", 240), ("r4", 480), ("r5", 900), ("r6", 900),
    ]  # fmt: skip
