# SPDX-License-Identifier: Apache-2.0
"""Lambda functions run their real code, alone, within their limits; asynchronous ones are retried."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError


def invoke(cloud: Any, name: str, event: Any = None, **settings: Any) -> tuple[Any, str]:
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **settings)
    return json.loads(answer["Payload"].read()), answer.get("FunctionError", "")


def test_a_function_answers_logs_and_reaches_the_cloud(cloud: Any) -> None:
    source = """
import boto3, os
def handler(event, context):
    print("asked for", event["name"], context.function_name)
    boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key=event["name"], Body=b"x")
    return {"left": context.get_remaining_time_in_millis() > 0, "id": context.aws_request_id}
"""
    cloud.client("s3").create_bucket(Bucket="functions-write-here")
    cloud.create_function("writer", source, Environment={"Variables": {"BUCKET": "functions-write-here"}})
    answer, error = invoke(cloud, "writer", {"name": "key"})
    assert (answer["left"], error) == (True, "")
    assert cloud.client("s3").head_object(Bucket="functions-write-here", Key="key")["ContentLength"] == 1
    log = cloud.log_of("writer")
    assert "asked for key writer" in log
    assert f"START RequestId: {answer['id']}" in log
    assert "Max Memory Used" in log


def test_a_function_sees_its_asset_and_boto3_only(cloud: Any) -> None:
    source = """
import importlib, os
def handler(event, context):
    found = []
    for name in ("boto3", "moto", "pipelines", "pytest", "yaml"):
        try:
            importlib.import_module(name)
            found.append(name)
        except ImportError:
            pass
    return {"modules": found, "variables": sorted(os.environ)}
"""
    cloud.create_function("alone", source, Environment={"Variables": {"OWN": "1"}})
    answer, _ = invoke(cloud, "alone")
    assert answer["modules"] == ["boto3"]
    assert {"OWN", "AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME"} <= set(answer["variables"])
    assert not {"PYTHONPATH", "USER", "VIRTUAL_ENV"} & set(answer["variables"])


def test_an_exception_is_answered_as_lambda_does(cloud: Any) -> None:
    cloud.create_function("raises", "def handler(event, context):\n    raise ValueError('not this')\n")
    answer, error = invoke(cloud, "raises")
    assert error == "Unhandled"
    assert (answer["errorType"], answer["errorMessage"]) == ("ValueError", "not this")
    tail = cloud.client("lambda").invoke(FunctionName="raises", LogType="Tail")["LogResult"]
    assert b"[ERROR] ValueError: not this" in base64.b64decode(tail)


def test_the_time_out_is_enforced(cloud: Any) -> None:
    cloud.create_function("sleeps", "import time\ndef handler(event, context):\n    time.sleep(60)\n", Timeout=1)
    answer, error = invoke(cloud, "sleeps")
    assert error == "Unhandled"
    assert "Task timed out after 1.00 seconds" in answer["errorMessage"]


def test_the_memory_size_is_enforced(cloud: Any) -> None:
    source = "def handler(event, context):\n    return len(bytearray(200 * 1024**2))\n"
    cloud.create_function("eats", source, MemorySize=128)
    answer, _ = invoke(cloud, "eats")
    assert answer["errorType"] == "Runtime.OutOfMemory"


def test_a_node_function_is_an_honest_error(cloud: Any) -> None:
    cloud.create_function("node", "", Runtime="nodejs22.x")
    answer, error = invoke(cloud, "node")
    assert error == "Unhandled"
    assert "runs Python functions only" in answer["errorMessage"]


def test_reserved_concurrency_throttles(cloud: Any) -> None:
    cloud.create_function("one-at-a-time", "import time\ndef handler(event, context):\n    time.sleep(2)\n")
    api = cloud.client("lambda", retries=0)
    api.put_function_concurrency(FunctionName="one-at-a-time", ReservedConcurrentExecutions=1)

    def throttled() -> bool:
        try:
            api.invoke(FunctionName="one-at-a-time")
        except ClientError as error:
            return error.response["Error"]["Code"] == "TooManyRequestsException"
        return False

    with ThreadPoolExecutor() as pool:
        outcomes = [pool.submit(throttled) for _ in range(2)]
        assert sorted(outcome.result() for outcome in outcomes) == [False, True]


def test_a_failing_event_is_tried_three_times_and_then_a_dead_letter(cloud: Any) -> None:
    url, arn = cloud.create_queue("dead-letters")
    source = "def handler(event, context):\n    raise RuntimeError(event['n'])\n"
    cloud.create_function("always-fails", source, DeadLetterConfig={"TargetArn": arn})
    sent = cloud.client("lambda").invoke(FunctionName="always-fails", InvocationType="Event", Payload=b'{"n": 7}')
    assert sent["StatusCode"] == 202
    assert [json.loads(body) for body in cloud.messages(url, 30)] == [{"n": 7}]
    assert cloud.log_of("always-fails").count("START RequestId") == 3


def test_configuration_is_shown_as_it_was_given(cloud: Any) -> None:
    _, arn = cloud.create_queue("shown")
    cloud.create_function("shown", "", DeadLetterConfig={"TargetArn": arn}, LoggingConfig={"LogGroup": "/own"})
    shown = cloud.client("lambda").get_function_configuration(FunctionName="shown")
    assert shown["DeadLetterConfig"] == {"TargetArn": arn}
    assert shown["LoggingConfig"]["LogGroup"] == "/own"


def test_an_unknown_function_is_not_found(cloud: Any) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        cloud.client("lambda").invoke(FunctionName="nobody")
