# SPDX-License-Identifier: Apache-2.0
"""Alarms publish to the topics of their actions, where topic and key let CloudWatch, and their history tells of it.

The policies, and the words of a refusal: https://repost.aws/knowledge-center/cloudwatch-receive-sns-for-alarm-trigger
and https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns. The message and the history were recorded in
LocalStack's tests/aws/services/cloudwatch/test_cloudwatch.py (test_put_metric_alarm, test_set_alarm,
test_enable_disable_alarm_actions, test_breaching_alarm_actions).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import await_true

MINUTE = 0.5
"""Seconds for which a minute of monitoring passes here."""
ALARMS = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:"


@pytest.fixture(scope="module", name="cloud")
def _cloud(start_cloud: Callable[[], Any]) -> Iterator[Any]:
    """A cloud in which minutes pass quickly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAPGATE_BAKE_SCALE", str(MINUTE / 60))
        yield start_cloud()


@pytest.fixture
def name() -> str:
    return f"watch-{os.urandom(3).hex()}"


def make_topic(cloud: Any, name: str, *statements: dict[str, Any], **attributes: str) -> tuple[str, str]:
    """A topic with a queue behind it; returns the topic's ARN and the queue's URL."""
    topic = str(cloud.client("sns").create_topic(Name=name, Attributes=attributes)["TopicArn"])
    if statements:
        policy = json.dumps({"Statement": [{"Resource": topic, **each} for each in statements]})
        cloud.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    url, queue = cloud.create_queue(name)
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    return topic, url


def watch(cloud: Any, name: str, **more: Any) -> None:
    cloud.client("cloudwatch").put_metric_alarm(
        **{
            "AlarmName": name,
            "AlarmDescription": "somebody should look",
            "Namespace": "N",
            "MetricName": name,
            "Dimensions": [{"Name": "InstanceId", "Value": "abc"}],
            "Unit": "Seconds",
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 2,
            "Threshold": 2,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "ignore",
            **more,
        }
    )


def turn(cloud: Any, name: str, state: str) -> None:
    cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="testing alarm")


def history(cloud: Any, name: str, kind: str = "Action", count: int = 1) -> list[dict[str, Any]]:
    """What came of an alarm, the newest first, once there is as much of it."""

    def look() -> list[dict[str, Any]]:
        found = cloud.client("cloudwatch").describe_alarm_history(AlarmName=name, HistoryItemType=kind)
        return list(found["AlarmHistoryItems"]) if len(found["AlarmHistoryItems"]) >= count else []

    return await_true(look)


def allowing(**condition: Any) -> dict[str, Any]:
    principal = {"Service": "cloudwatch.amazonaws.com"}
    return {"Effect": "Allow", "Principal": principal, "Action": "sns:Publish", "Condition": condition}


def test_an_alarm_that_goes_off_is_told_as_cloudwatch_tells_it(cloud: Any, name: str) -> None:
    topic, url = make_topic(cloud, name)  # with the policy that SNS gives it, which lets the account's alarms in
    watch(cloud, name, AlarmActions=[topic], OKActions=[topic])
    turn(cloud, name, "ALARM")
    [body] = cloud.messages(url)
    assert json.loads(body)["Subject"] == f'ALARM: "{name}" in US East (N. Virginia)'
    message = json.loads(json.loads(body)["Message"])
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000"
    assert re.fullmatch(moment, message.pop("StateChangeTime"))
    assert re.fullmatch(moment, message.pop("AlarmConfigurationUpdatedTimestamp"))
    assert message == {
        "AlarmName": name,
        "AlarmDescription": "somebody should look",
        "AWSAccountId": "123456789012",
        "NewStateValue": "ALARM",
        "NewStateReason": "testing alarm",
        "Region": "US East (N. Virginia)",
        "AlarmArn": f"{ALARMS}{name}",
        "OldStateValue": "INSUFFICIENT_DATA",
        "OKActions": [topic],
        "AlarmActions": [topic],
        "InsufficientDataActions": [],
        "ActionExecutedAfterMuteWindow": False,
        "Trigger": {
            "MetricName": name,
            "Namespace": "N",
            "StatisticType": "Statistic",
            "Statistic": "AVERAGE",
            "Unit": "Seconds",
            "Dimensions": [{"name": "InstanceId", "value": "abc"}],
            "Period": 60,
            "EvaluationPeriods": 2,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 2.0,
            "TreatMissingData": "ignore",
            "EvaluateLowSampleCountPercentile": "",
        },
    }


def test_each_state_has_its_actions_which_can_be_switched_off(cloud: Any, name: str) -> None:
    alarm, alarm_url = make_topic(cloud, f"{name}-alarm")
    fine, fine_url = make_topic(cloud, f"{name}-fine")
    actions = {"AlarmActions": [alarm], "OKActions": [fine], "InsufficientDataActions": [fine]}
    watch(cloud, name, **actions)
    turn(cloud, name, "OK")
    assert len(cloud.messages(fine_url)) == 1
    turn(cloud, name, "OK")  # no change of state
    turn(cloud, name, "INSUFFICIENT_DATA")
    assert len(cloud.messages(fine_url)) == 1
    watch(cloud, name, ActionsEnabled=False, **actions)
    turn(cloud, name, "ALARM")
    assert cloud.messages(alarm_url, 1) == []
    changes = [each["HistorySummary"] for each in history(cloud, name, "StateUpdate", 3)]
    assert changes == [
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        "Alarm updated from OK to INSUFFICIENT_DATA",
        "Alarm updated from INSUFFICIENT_DATA to OK",
    ]
    assert len(history(cloud, name, count=2)) == 2


def test_what_an_evaluation_finds_is_told_too(cloud: Any, name: str) -> None:
    topic, url = make_topic(cloud, name)
    watch(cloud, name, AlarmActions=[topic], TreatMissingData="breaching", EvaluationPeriods=1)
    told = json.loads(json.loads(cloud.messages(url)[0])["Message"])
    assert (told["OldStateValue"], told["NewStateValue"]) == ("INSUFFICIENT_DATA", "ALARM")
    assert told["NewStateReason"] == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[Breaching]."
    )


def test_a_topic_that_does_not_let_cloudwatch_in_gets_nothing_and_the_history_says_so(cloud: Any, name: str) -> None:
    own = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sns:Publish"}
    topic, url = make_topic(cloud, name, own)
    watch(cloud, name, AlarmActions=[topic])
    turn(cloud, name, "ALARM")
    [failed] = history(cloud, name)
    assert failed["HistorySummary"] == f"Failed to execute action {topic}"
    told = json.loads(failed["HistoryData"])
    assert (told["actionState"], told["notificationResource"]) == ("Failed", topic)
    assert told["error"] == (f"Resource: {ALARMS}{name} is not authorized to perform: SNS:Publish on resource: {topic}")
    assert cloud.messages(url, 1) == []


@pytest.mark.parametrize(
    ("conditions", "delivered"),
    [
        ({"ArnLike": {"aws:SourceArn": f"{ALARMS}watch-*"}}, True),
        ({"StringEquals": {"aws:SourceAccount": "123456789012"}}, True),
        ({"ArnLike": {"aws:SourceArn": f"{ALARMS}other-*"}}, False),
        ({"StringEquals": {"aws:SourceAccount": "210987654321"}}, False),
    ],
)
def test_a_policy_may_name_the_alarms(cloud: Any, name: str, conditions: dict[str, Any], delivered: bool) -> None:
    topic, _ = make_topic(cloud, name, allowing(**conditions))
    watch(cloud, name, AlarmActions=[topic])
    turn(cloud, name, "ALARM")
    [action] = history(cloud, name)
    assert action["HistorySummary"].startswith("Successfully executed" if delivered else "Failed to execute")


def test_an_encrypted_topic_is_told_once_its_key_lets_cloudwatch_use_it(cloud: Any, name: str) -> None:
    kms = cloud.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    topic, url = make_topic(cloud, name, KmsMasterKeyId=key)
    watch(cloud, name, AlarmActions=[topic], OKActions=[topic])
    turn(cloud, name, "ALARM")
    [failed] = history(cloud, name)
    error = "CloudWatch Alarms does not have authorization to access the SNS topic encryption key."
    assert json.loads(failed["HistoryData"])["error"] == error
    statement = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Resource": "*"}
    policy = {"Statement": [{**statement, "Action": ["kms:GenerateDataKey*", "kms:Decrypt"]}]}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    turn(cloud, name, "OK")
    assert json.loads(cloud.messages(url)[0])["Subject"].startswith("OK: ")
    assert history(cloud, name, count=2)[0]["HistorySummary"] == f"Successfully executed action {topic}"


def test_the_key_that_is_sns_own_lets_no_alarm_in(cloud: Any, name: str) -> None:
    topic, url = make_topic(cloud, name, KmsMasterKeyId="alias/aws/sns")
    watch(cloud, name, AlarmActions=[topic])
    turn(cloud, name, "ALARM")
    assert "encryption key" in json.loads(history(cloud, name)[0]["HistoryData"])["error"]
    assert cloud.messages(url, 1) == []


def test_actions_other_than_topics_are_refused_since_nothing_here_would_do_them(cloud: Any, name: str) -> None:
    with pytest.raises(ClientError, match="only topics"):
        watch(cloud, name, AlarmActions=["arn:aws:automate:us-east-1:ec2:stop"])


def test_a_long_name_is_cut_where_a_subject_would_be_too_long(cloud: Any, name: str) -> None:
    topic, url = make_topic(cloud, name)
    long = name + "-" * 200
    watch(cloud, long, AlarmActions=[topic])
    turn(cloud, long, "ALARM")
    subject = json.loads(cloud.messages(url)[0])["Subject"]
    assert len(subject) == 100
    assert subject.endswith('..." in US East (N. Virginia)')
