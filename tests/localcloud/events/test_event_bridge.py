# SPDX-License-Identifier: Apache-2.0
"""Events reach functions, queues and topics, if these let EventBridge."""

from __future__ import annotations

import json
from collections.abc import Callable
from email import message_from_string
from typing import Any


def put_rule(cloud: Any, name: str, target: dict[str, Any]) -> str:
    events = cloud.client("events")
    arn = events.put_rule(Name=name, EventPattern=json.dumps({"source": [name], "detail": {"go": [True]}}))["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "target", **target}])
    return str(arn)


def send(cloud: Any, source: str, **detail: Any) -> None:
    entry = {"Source": source, "DetailType": "Test", "Detail": json.dumps(detail), "Resources": ["arn:of:it"]}
    assert cloud.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_a_function_runs_once_it_has_a_permission(cloud: Any, until: Callable[..., Any]) -> None:
    dead_url, dead_arn = cloud.create_queue("undelivered")
    function = cloud.create_function("event-handler", "def handler(event, context):\n    print(event['detail'])\n")
    target = {"Arn": function, "DeadLetterConfig": {"Arn": dead_arn}}
    rule = put_rule(cloud, "to-function", target)
    send(cloud, "to-function", go=True, n=1)
    assert json.loads(cloud.messages(dead_url)[0])["detail"]["n"] == 1
    cloud.client("lambda").add_permission(
        FunctionName="event-handler",
        StatementId="events",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    send(cloud, "to-function", go=False, n=2)
    send(cloud, "to-function", go=True, n=3)

    def ran() -> bool:
        groups = cloud.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/event-handler")["logGroups"]
        return bool(groups) and "'n': 3" in cloud.log_of("event-handler")

    assert until(ran)
    assert "'n': 2" not in cloud.log_of("event-handler")


def test_a_queue_gets_the_event_as_eventbridge_shapes_it(cloud: Any) -> None:
    url, arn = cloud.create_queue("events")
    put_rule(cloud, "to-queue", {"Arn": arn})
    send(cloud, "to-queue", go=True)
    event = json.loads(cloud.messages(url)[0])
    assert (event["source"], event["detail-type"], event["account"]) == ("to-queue", "Test", "123456789012")
    assert event["resources"] == ["arn:of:it"]
    assert event["time"].endswith("Z")


def test_an_input_transformer_fills_its_template(cloud: Any) -> None:
    url, arn = cloud.create_queue("transformed")
    transformer = {
        "InputPathsMap": {"what": "$.detail.what", "all": "$.detail"},
        "InputTemplate": '{"text": "it was <what>", "what": "<what>", "detail": <all>}',
    }
    put_rule(cloud, "transformed", {"Arn": arn, "InputTransformer": transformer})
    send(cloud, "transformed", go=True, what="good")
    expected = {"text": "it was good", "what": "good", "detail": {"go": True, "what": "good"}}
    assert json.loads(cloud.messages(url)[0]) == expected


def test_a_topic_passes_events_on_to_queues_and_people(cloud: Any, until: Callable[..., Any]) -> None:
    sns = cloud.client("sns")
    topic = sns.create_topic(Name="events")["TopicArn"]
    url, arn = cloud.create_queue("behind-the-topic")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="someone@example.com")
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish"}
    policy = json.dumps({"Statement": [{**statement, "Resource": topic}]})
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    put_rule(cloud, "to-topic", {"Arn": topic, "Input": '"told"'})
    send(cloud, "to-topic", go=True)
    assert json.loads(cloud.messages(url)[0])["Message"] == '"told"'
    assert until(lambda: list((cloud.home / "outbox").glob("*.eml")))
    letter = message_from_string(next((cloud.home / "outbox").glob("*.eml")).read_text())
    assert letter["To"] == "someone@example.com"


def test_a_disabled_rule_stays_silent(cloud: Any) -> None:
    url, arn = cloud.create_queue("silent")
    put_rule(cloud, "disabled", {"Arn": arn})
    cloud.client("events").disable_rule(Name="disabled")
    send(cloud, "disabled", go=True)
    assert cloud.messages(url, 1.5) == []


def test_an_encrypted_queue_takes_events_once_its_key_lets_eventbridge_use_it(cloud: Any) -> None:
    kms = cloud.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    url, arn = cloud.create_queue("encrypted", KmsMasterKeyId=key)
    dead_url, dead_arn = cloud.create_queue("not-encrypted")
    put_rule(cloud, "to-encrypted", {"Arn": arn, "DeadLetterConfig": {"Arn": dead_arn}})
    send(cloud, "to-encrypted", go=True)
    assert cloud.messages(dead_url)
    principal = {"Service": "events.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": ["kms:GenerateDataKey*", "kms:Decrypt"]}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": "*"}]}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    send(cloud, "to-encrypted", go=True)
    assert cloud.messages(url)


def test_the_key_of_a_topic_lets_eventbridge_use_it_without_a_condition_on_the_source(cloud: Any) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services."""
    kms, sns = cloud.client("kms"), cloud.client("sns")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    topic = sns.create_topic(Name="sealed", Attributes={"KmsMasterKeyId": key})["TopicArn"]
    principal = {"Principal": {"Service": "events.amazonaws.com"}, "Effect": "Allow"}
    policy = {"Statement": [{**principal, "Action": "sns:Publish", "Resource": topic}]}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy))
    url, queue = cloud.create_queue("behind-sealed")
    dead_url, dead_arn = cloud.create_queue("not-sealed")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    put_rule(cloud, "to-sealed", {"Arn": topic, "DeadLetterConfig": {"Arn": dead_arn}})

    def open_key(**condition: Any) -> None:
        statement = {**principal, "Action": ["kms:GenerateDataKey*", "kms:Decrypt"], "Resource": "*", **condition}
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps({"Statement": [statement]}))
        send(cloud, "to-sealed", go=True)

    open_key(Condition={"StringEquals": {"aws:SourceAccount": "123456789012"}})
    assert cloud.messages(dead_url)
    open_key()
    assert cloud.messages(url)
    sns.set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue="alias/aws/sns")
    send(cloud, "to-sealed", go=True)
    assert cloud.messages(dead_url)


def test_a_dead_letter_queue_takes_what_its_policy_lets_this_rule_send(cloud: Any) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html#eb-dlq-perms shows the condition."""
    function = cloud.create_function("never-permitted", "def handler(event, context):\n    return 1\n")
    dead_url, dead_arn = cloud.create_queue("graves")
    rule = put_rule(cloud, "buried", {"Arn": function, "DeadLetterConfig": {"Arn": dead_arn}})

    def open_to(source: str) -> None:
        statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        condition = {"Resource": dead_arn, "Condition": {"ArnEquals": {"aws:SourceArn": source}}}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **condition}]})
        cloud.client("sqs").set_queue_attributes(QueueUrl=dead_url, Attributes={"Policy": policy})

    open_to(f"{rule}-of-another")
    send(cloud, "buried", go=True)
    assert cloud.messages(dead_url, 1.5) == []
    open_to(rule)
    send(cloud, "buried", go=True)
    assert len(cloud.messages(dead_url)) == 1
