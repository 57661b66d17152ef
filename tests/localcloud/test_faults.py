# SPDX-License-Identifier: Apache-2.0
"""Tests order bad moments of the cloud."""

from __future__ import annotations

from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError


def test_the_ordered_calls_fail_and_the_others_do_not(cloud: Any) -> None:
    sns = cloud.client("sns", 0)
    topic = sns.create_topic(Name="disturbed")["TopicArn"]
    cloud.order("faults", service="sns", action="Publish", code="InternalError", status=500, skip=1, times=2)
    outcomes = []
    for _ in range(4):
        try:
            sns.publish(TopicArn=topic, Message="x")
            outcomes.append("taken")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert outcomes == ["taken", "InternalError", "InternalError", "taken"]


def test_orders_end_together(cloud: Any) -> None:
    sns = cloud.client("sns", 0)
    topic = sns.create_topic(Name="undisturbed")["TopicArn"]
    cloud.order("faults", service="sns", action="Publish", code="ThrottlingException")
    cloud.order("faults")
    sns.publish(TopicArn=topic, Message="x")


def test_boto_tries_a_throttled_call_again(cloud: Any) -> None:
    topic = cloud.client("sns").create_topic(Name="throttled")["TopicArn"]
    cloud.order("faults", service="sns", action="Publish", code="ThrottlingException", message="Rate exceeded", times=1)
    answer = cloud.client("sns").publish(TopicArn=topic, Message="x")
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1


@pytest.mark.parametrize(
    "order", [{"service": "sns", "action": "Pubish", "code": "x"}, {"service": "nothing", "action": "x", "code": "x"}]
)
def test_misspelt_orders_are_refused(cloud: Any, order: dict[str, str]) -> None:
    with pytest.raises(HTTPError, match="400"):
        cloud.order("faults", **order)


def test_the_clock_only_goes_forward(cloud: Any) -> None:
    with pytest.raises(HTTPError, match="400"):
        cloud.order("clock", advance_seconds=-1)
