# SPDX-License-Identifier: Apache-2.0
"""Rules with a schedule call their targets when their time has come, and are refused as EventBridge refuses them."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.dispatch import ServiceError
from localcloud.events.schedules import LOOK_SECONDS, following_moments, next_moment


@pytest.mark.parametrize(
    "expression",
    [
        "rate(10 seconds)", "rate(10 years)", "rate(1 minutes)", "rate(1 hours)", "rate(1 days)", "rate(10 minute)",
        "rate(10 hour)", "rate(10 day)", "rate()", "rate(10)", "rate(10 minutess)", "rate(foo minutes)",
        "rate(0 minutes)", "rate(-10 minutes)", "rate(10 MINUTES)", "rate( 10 minutes )", " rate(10 minutes)",
        "cron(0 1 * * * *)", "cron(INVALID)", "at(2030-01-01T00:00:00)", "10 minutes",
    ],
)  # fmt: skip
def test_expressions_that_eventbridge_refuses_are_refused(expression: str) -> None:
    """Recorded in LocalStack's tests/aws/services/events/test_events_schedule.py."""
    with pytest.raises(ServiceError, match=r"ValidationException: Parameter ScheduleExpression is not valid\."):
        next_moment(expression, 0.0)


def test_periods() -> None:
    rates = ("1 minute", "15 minutes", "2 hours", "1 day")
    assert [next_moment(f"rate({rate})", 5.0) for rate in rates] == [65.0, 905.0, 7205.0, 86_405.0]


def test_a_rule_is_called_once_its_period_is_over_and_once_for_all_that_was_missed() -> None:
    rule = SimpleNamespace(arn="a", scheduled_expression="rate(1 minute)", state="ENABLED")
    called: list[float] = []
    due: dict[str, list[Any]] = {}
    for now in (0.0, 59.0, 60.0, 61.0, 1000.0, 1001.0):
        due = following_moments(due, iter([rule]), now, lambda _, now=now: called.append(now))  # type: ignore[misc]
    assert called == [60.0, 1000.0]
    rule.state = "DISABLED"
    following_moments(due, iter([rule]), 5000.0, lambda _: called.append(0.0))
    assert called == [60.0, 1000.0]
    rule.state, rule.scheduled_expression = "ENABLED", "rate(5 minutes)"
    assert following_moments(due, iter([rule]), 5000.0, lambda _: called.append(0.0))["a"][1] == 5300.0
    assert called == [60.0, 1000.0]


def test_a_rule_is_called_at_its_times_and_never_where_all_are_past() -> None:
    daily, past = (
        SimpleNamespace(arn=expression, scheduled_expression=expression, state="ENABLED")
        for expression in ("cron(0 12 * * ? *)", "cron(0 12 * * ? 1970)")
    )
    noon, day = 43_200.0 + 365 * 86_400, 86_400.0
    called: list[tuple[str, float]] = []
    due: dict[str, list[Any]] = {}
    for now in (noon - 60, noon - 1, noon, noon + 1, noon + 3 * day + 5, noon + 4 * day):
        due = following_moments(due, iter([daily, past]), now, lambda rule, now=now: called.append((rule.arn, now)))  # type: ignore[misc]
        due = json.loads(json.dumps(due))
    assert called == [(daily.arn, noon), (daily.arn, noon + 3 * day + 5), (daily.arn, noon + 4 * day)]
    assert due[past.arn] == [past.arn, None]


def test_a_target_is_called_when_the_clock_was_moved(cloud: Any) -> None:
    url, arn = cloud.create_queue("scheduled")
    events = cloud.client("events")
    rule = events.put_rule(Name="scheduled", ScheduleExpression="rate(15 minutes)")["RuleArn"]
    events.put_targets(Rule="scheduled", Targets=[{"Id": "queue", "Arn": arn}])
    assert cloud.messages(url, 1.0) == []
    cloud.order("clock", advance_seconds=901)
    event = json.loads(cloud.messages(url)[0])
    assert (event["detail-type"], event["source"], event["detail"]) == ("Scheduled Event", "aws.events", {})
    assert event["resources"] == [rule]
    assert cloud.messages(url, 1.0) == []
    with pytest.raises(ClientError, match="only on the default event bus"):
        events.create_event_bus(Name="other")
        events.put_rule(Name="elsewhere", EventBusName="other", ScheduleExpression="rate(15 minutes)")


def test_a_target_is_called_at_a_time_of_the_day(cloud: Any) -> None:
    url, arn = cloud.create_queue("hourly")
    events = cloud.client("events")
    rule = events.put_rule(Name="hourly", ScheduleExpression="cron(0 * * * ? *)")["RuleArn"]
    events.put_targets(Rule="hourly", Targets=[{"Id": "queue", "Arn": arn}])
    time.sleep(3 * LOOK_SECONDS)  # the rule is seen before its time comes
    cloud.order("clock", advance_seconds=3600)
    assert json.loads(cloud.messages(url)[0])["resources"] == [rule]
    events.remove_targets(Rule="hourly", Ids=["queue"])
