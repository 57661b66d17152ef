# SPDX-License-Identifier: Apache-2.0
"""A queue feeds a function: handled messages go, others come again and end in the dead-letter queue."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

SOURCE = """
import json
def handler(event, context):
    for record in event["Records"]:
        body = json.loads(record["body"])
        print("got", body["n"], record["attributes"]["ApproximateReceiveCount"], record["eventSource"])
        if body.get("fail"):
            raise RuntimeError("no")
"""


def test_handled_messages_are_deleted_and_failing_ones_end_as_dead_letters(
    cloud: Any, until: Callable[..., Any]
) -> None:
    dead_url, dead_arn = cloud.create_queue("feeder-dead")
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    url, arn = cloud.create_queue("feeder", VisibilityTimeout="2", RedrivePolicy=redrive)
    cloud.create_function("fed", SOURCE, Timeout=2)
    cloud.client("lambda").create_event_source_mapping(EventSourceArn=arn, FunctionName="fed", BatchSize=1)
    sqs = cloud.client("sqs")
    sqs.send_message(QueueUrl=url, MessageBody='{"n": 1}')
    sqs.send_message(QueueUrl=url, MessageBody='{"n": 2, "fail": true}')
    assert [json.loads(body)["n"] for body in cloud.messages(dead_url, 30)] == [2]
    log = cloud.log_of("fed")
    assert "got 1 1 aws:sqs" in log
    assert log.count("got 2") == 2

    def left() -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(map(int, attributes.values()))

    assert until(lambda: left() == 0)


def test_a_batch_may_fail_in_parts(cloud: Any, until: Callable[..., Any]) -> None:
    url, arn = cloud.create_queue("partial", VisibilityTimeout="30")
    source = """
def handler(event, context):
    return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in event["Records"] if r["body"] == "bad"]}
"""
    cloud.create_function("partial", source, Timeout=10)
    cloud.client("lambda").create_event_source_mapping(
        EventSourceArn=arn, FunctionName="partial", FunctionResponseTypes=["ReportBatchItemFailures"]
    )
    sqs = cloud.client("sqs")
    for body in ("good", "bad"):
        sqs.send_message(QueueUrl=url, MessageBody=body)

    def counts() -> tuple[str, str]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return attributes[names[0]], attributes[names[1]]

    assert until(lambda: counts() == ("0", "1"))


@pytest.mark.parametrize(
    "failure", ["{'itemIdentifier': ''}", "{'itemIdentifier': None}", "{'identifier': 'x'}", "'x'"]
)
def test_a_batch_whose_failures_are_named_wrongly_fails_as_a_whole(
    cloud: Any, until: Callable[..., Any], failure: str
) -> None:
    name = f"misnamed-{abs(hash(failure))}"
    url, arn = cloud.create_queue(name, VisibilityTimeout="600")
    cloud.create_function(name, f"def handler(event, context):\n    return {{'batchItemFailures': [{failure}]}}\n")
    cloud.client("lambda").create_event_source_mapping(
        EventSourceArn=arn, FunctionName=name, FunctionResponseTypes=["ReportBatchItemFailures"]
    )
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    assert until(lambda: _log(cloud, name))
    assert _hidden(cloud, url) == 1


def test_a_function_decides_when_the_message_that_it_failed_comes_back(cloud: Any, until: Callable[..., Any]) -> None:
    source = """
import boto3
def handler(event, context):
    (record,) = event["Records"]
    boto3.client("sqs").change_message_visibility(
        QueueUrl=record["body"], ReceiptHandle=record["receiptHandle"], VisibilityTimeout=1
    )
    print("failing")
    raise RuntimeError("not now")
"""
    url, arn = cloud.create_queue("comes-back", VisibilityTimeout="600")
    cloud.create_function("comes-back", source)
    cloud.client("lambda").create_event_source_mapping(EventSourceArn=arn, FunctionName="comes-back", BatchSize=1)
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody=url)
    assert until(lambda: _log(cloud, "comes-back").count("failing") >= 2)


def _log(cloud: Any, name: str) -> str:
    groups = cloud.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
    return str(cloud.log_of(name)) if groups else ""


def _hidden(cloud: Any, url: str) -> int:
    name = "ApproximateNumberOfMessagesNotVisible"
    return int(cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])
