# SPDX-License-Identifier: Apache-2.0
"""A failed execution is told with its step, a sentence and a link."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.observability.notifier.index import EXECUTION, STEP, Failure, Services, notify

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/abcdefghijkl"
GATE = "mAP 0.21 is below the required 0.50"


class FakePipelines:
    """An execution's steps and jobs."""

    def __init__(self, steps: list[dict[str, Any]], reason: str = "") -> None:
        self.steps, self.reason = steps, reason

    def get_paginator(self, name: str) -> Any:
        assert name == "list_pipeline_execution_steps"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"PipelineExecutionSteps": self.steps}]

    def describe_pipeline_execution(self, **_: Any) -> dict[str, Any]:
        return {"FailureReason": self.reason} if self.reason else {}

    def describe_processing_job(self, **_: Any) -> dict[str, Any]:
        output = {"OutputName": "evaluation", "S3Output": {"S3Uri": "s3://data/executions/earlier/evaluation"}}
        return {"ProcessingOutputConfig": {"Outputs": [output]}}


class FakeBucket:
    """Objects by key."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def get_object(self, **where: str) -> dict[str, Any]:
        if where["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no"}}, "GetObject")
        return {"Body": BytesIO(self.objects[where["Key"]])}


class FakeTopic:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []

    def publish(self, **message: str) -> None:
        self.sent.append(message)


def services(steps: list[dict[str, Any]], objects: dict[str, bytes] | None = None, reason: str = "") -> Any:
    made: Any = Services()
    made.sagemaker = FakePipelines(steps, reason)
    made.s3 = FakeBucket(objects or {})
    made.sns = FakeTopic()
    return made


def failed(name: str, kind: dict[str, Any], reason: str = "", minute: int = 0) -> dict[str, Any]:
    ended = datetime(2026, 11, 1, 12, minute, tzinfo=UTC)
    return {"StepName": name, "StepStatus": "Failed", "FailureReason": reason, "Metadata": kind, "EndTime": ended}


def execution_event(status: str = "Failed") -> dict[str, Any]:
    return {
        "detail-type": EXECUTION,
        "detail": {"pipelineExecutionArn": ARN, "currentPipelineExecutionStatus": status},
    }


def job(kind: str, name: str) -> dict[str, Any]:
    return {kind: {"Arn": f"arn:aws:sagemaker:us-east-1:123456789012:{kind.lower()}/{name}"}}


def told(event: dict[str, Any], given: Any) -> Failure:
    failure = notify(event, given, "topic", "data")
    assert failure is not None
    (message,) = given.sns.sent
    assert message == {"TopicArn": "topic", "Subject": failure.subject, "Message": failure.message}
    return failure


def test_failed_job_is_told_with_its_reason_and_its_log() -> None:
    steps = [
        {"StepName": "PrepareDataset", "StepStatus": "Succeeded"},
        failed("EvaluateDetector", job("ProcessingJob", "later"), "fell over", minute=9),
        failed("TrainDetector", job("TrainingJob", "train-1"), "AlgorithmError: the loss is not finite", minute=1),
    ]
    failure = told(execution_event(), services(steps))
    assert failure.subject == "mapgate-dev: execution abcdefghijkl failed at TrainDetector"
    assert failure.message.startswith("AlgorithmError: the loss is not finite\n")
    assert failure.link == (
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/"
        "$252Faws$252Fsagemaker$252FTrainingJobs$3FlogStreamNameFilter$3Dtrain-1"
    )


@pytest.mark.parametrize("execution", ["abcdefghijkl", "earlier"])
def test_failed_gate_is_told_in_the_gates_own_words(execution: str) -> None:
    steps = [
        {"StepName": "EvaluateDetector", "StepStatus": "Succeeded", "Metadata": job("ProcessingJob", "evaluate-1")},
        failed("QualityGateFailed", {"Fail": {"ErrorMessage": "the gate did not pass"}}),
    ]
    report = {f"executions/{execution}/evaluation/evaluation.json": json.dumps({"gate": {"sentence": GATE}}).encode()}
    failure = told(execution_event(), services(steps, report))
    assert (failure.step, failure.sentence) == ("QualityGateFailed", GATE)
    assert failure.link.endswith("#/pipelines/mapgate-dev/executions/abcdefghijkl")


@pytest.mark.parametrize("body", [None, b"{", b"[]", b"{}"])
def test_gate_without_readable_evaluation_is_told_by_the_step(body: bytes | None) -> None:
    report = {"executions/abcdefghijkl/evaluation/evaluation.json": body} if body else {}
    steps = [failed("QualityGateFailed", {"Fail": {"ErrorMessage": "the gate did not pass"}})]
    assert told(execution_event(), services(steps, report)).sentence == "the gate did not pass"


def test_execution_that_failed_before_any_step_is_told_by_its_own_reason() -> None:
    failure = told(execution_event(), services([], reason="The role cannot be assumed."))
    assert (failure.step, failure.sentence) == (None, "The role cannot be assumed.")


def test_failed_function_is_told_with_its_log() -> None:
    step = failed(
        "FindChampion", {"Lambda": {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:find"}}, "KeyError"
    )
    assert "$252Faws$252Flambda$252Ffind" in told(execution_event(), services([step])).link


def test_step_event_is_told_too() -> None:
    event = {
        "detail-type": STEP,
        "detail": {
            "pipelineExecutionArn": ARN,
            "stepName": "TrainDetector",
            "currentStepStatus": "Failed",
            "failureReason": "no capacity",
        },
    }
    assert told(event, services([])).sentence == "no capacity"


@pytest.mark.parametrize("status", ["Executing", "Succeeded", "Stopped", "Stopping"])
def test_what_did_not_fail_is_passed_over(status: str) -> None:
    given = services([])
    assert notify(execution_event(status), given, "topic", "data") is None
    assert given.sns.sent == []


def test_subject_is_what_sns_takes() -> None:
    failure = Failure(pipeline="p" * 90, execution="é\n" * 20, step="s" * 60, sentence="", link="")
    assert len(failure.subject) == 100
    assert failure.subject.isascii()
    assert failure.subject.isprintable()


def test_asset_passes_over_an_event_that_is_no_failure(invoke: Any) -> None:
    run = invoke("observability/notifier", execution_event("Succeeded"), TOPIC_ARN="topic", BUCKET="data")
    assert (run.error, run.log[0]["message"]) == ("", "not a failure")
