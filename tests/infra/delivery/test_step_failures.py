# SPDX-License-Identifier: Apache-2.0
"""A Callback step whose message nobody could handle is answered, for it would wait for ever."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.delivery.step_failures import index
from infra.delivery.step_failures.index import answer
from localcloud import cloud as local_cloud

LOG = "/aws/lambda/mapgate-dev-deployer"


class Waiting:
    """A pipeline that waits for one token."""

    def __init__(self) -> None:
        self.answers: list[dict[str, str]] = []
        self.refusal = ""

    def send_pipeline_execution_step_failure(self, **answer: str) -> None:
        if self.refusal:
            problem: Any = {"Error": {"Code": self.refusal, "Message": "no"}}
            raise ClientError(problem, "SendPipelineExecutionStepFailure")
        self.answers.append(answer)


def test_step_is_told_that_it_failed_and_where_to_look() -> None:
    pipeline: Any = Waiting()
    answer(pipeline, {"token": "0123456789", "arguments": {}, "status": "Executing"}, LOG)
    assert [one["CallbackToken"] for one in pipeline.answers] == ["0123456789"]
    assert LOG in pipeline.answers[0]["FailureReason"]
    assert len(pipeline.answers[0]["FailureReason"]) <= 256


@pytest.mark.parametrize("code", ["ResourceNotFound", "ValidationException"])
def test_step_that_waits_no_longer_is_no_error(code: str) -> None:
    pipeline: Any = Waiting()
    pipeline.refusal = code
    assert "nobody waits" in answer(pipeline, {"token": "0123456789"}, LOG)


def test_answer_that_could_not_be_given_is_given_again() -> None:
    pipeline: Any = Waiting()
    pipeline.refusal = "ThrottlingException"
    with pytest.raises(ClientError):
        answer(pipeline, {"token": "0123456789"}, LOG)


def test_reminders_are_dropped_and_what_is_neither_goes_to_people() -> None:
    pipeline: Any = Waiting()
    answer(pipeline, {"endpoint": "mapgate-dev"}, LOG)
    with pytest.raises(ValueError, match="request"):
        answer(pipeline, {"request": {"RequestType": "Delete"}}, LOG)
    assert pipeline.answers == []


SERVICES = ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]
ALLOWED = ["logs:*", "sagemaker:SendPipelineExecutionStepFailure", "sqs:*"]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Makes clients of a cloud of the test's own."""
    url = local_cloud.up(tmp_path / ".mapgate").endpoint_url

    def make(service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=url, region_name="us-east-1", **keys)  # type: ignore[call-overload]

    yield make
    local_cloud.down(tmp_path / ".mapgate")


def test_execution_fails_instead_of_waiting_for_a_deployer_that_is_broken(client: Callable[[str], Any]) -> None:
    role, queues = make_role(client("iam")), client("sqs")
    queues.create_queue(QueueName="dead", Attributes={"VisibilityTimeout": "60"})
    redrive = json.dumps({"deadLetterTargetArn": arn_of("dead"), "maxReceiveCount": 1})
    settings = {"VisibilityTimeout": "5", "RedrivePolicy": redrive}
    url = queues.create_queue(QueueName="callback", Attributes=settings)["QueueUrl"]
    serve(client, role, "callback", "def handler(event, context):\n    raise RuntimeError('broken')\n", Timeout=5)
    code = Path(index.__file__).read_text()
    serve(client, role, "dead", code, Timeout=30, Environment={"Variables": {"DEPLOYER_LOG": LOG}})
    execution = start(client("sagemaker"), role, url)
    deadline = time.monotonic() + 60
    while execution()["PipelineExecutionStatus"] != "Failed":
        assert time.monotonic() < deadline, "the execution waits for ever"
        time.sleep(0.2)
    steps = client("sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=execution()["PipelineExecutionArn"])
    assert LOG in steps["PipelineExecutionSteps"][0]["FailureReason"]


def start(sagemaker: Any, role: str, queue_url: str) -> Callable[[], dict[str, Any]]:
    """Start a pipeline of one Callback step; returns a function that describes its execution."""
    step = {
        "Name": "Ask",
        "Type": "Callback",
        "SqsQueueUrl": queue_url,
        "Arguments": {"a": "b"},
        "OutputParameters": [],
    }
    definition = json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": [step]})
    sagemaker.create_pipeline(
        PipelineName="p", PipelineDefinition=definition, RoleArn=role, ClientRequestToken="t" * 32
    )
    started = sagemaker.start_pipeline_execution(PipelineName="p", ClientRequestToken="e" * 32)
    return lambda: dict(sagemaker.describe_pipeline_execution(PipelineExecutionArn=started["PipelineExecutionArn"]))


def arn_of(queue: str) -> str:
    return f"arn:aws:sqs:us-east-1:123456789012:{queue}"


def make_role(iam: Any) -> str:
    trust = {"Effect": "Allow", "Principal": {"Service": SERVICES}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName="works", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": ALLOWED, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="works", PolicyName="works", PolicyDocument=policy)
    return str(arn)


def serve(client: Callable[[str], Any], role: str, queue: str, code: str, **settings: Any) -> None:
    """Let a function handle a queue's messages, one at a time."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("index.py", code)
    functions, runtime = client("lambda"), {"Runtime": "python3.12", "Handler": "index.handler"}
    functions.create_function(
        FunctionName=queue, Role=role, Code={"ZipFile": archive.getvalue()}, **runtime, **settings
    )
    functions.create_event_source_mapping(EventSourceArn=arn_of(queue), FunctionName=queue, BatchSize=1)
