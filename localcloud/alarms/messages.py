# SPDX-License-Identifier: Apache-2.0
"""What CloudWatch publishes when an alarm changes its state: subject and message, as AWS writes them.

Recorded in LocalStack's tests/aws/services/cloudwatch/test_cloudwatch.snapshot.json (test_put_metric_alarm,
test_breaching_alarm_actions, test_enable_disable_alarm_actions).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.loaders import create_loader

LONGEST_SUBJECT = 100
"""https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""
_STATISTICS = {"SampleCount": "SAMPLE_COUNT"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """An alarm that changed its state.

    Attributes:
        arn: Of the alarm.
        actions: ARNs of the topics that are told; none where actions are switched off.
        subject: Of the mail.
        message: All that is told.
        moment: When.
    """

    arn: str
    actions: tuple[str, ...]
    subject: str
    message: dict[str, Any]
    moment: datetime

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    @property
    def name(self) -> str:
        return str(self.message["AlarmName"])


def change_of(alarm: Any, old_state: str) -> Change:
    """What there is to tell of moto's alarm, which has its new state already."""
    region, account = alarm.alarm_arn.split(":")[3:5]
    lists = {
        "OKActions": list(alarm.ok_actions or ()),
        "AlarmActions": list(alarm.alarm_actions or ()),
        "InsufficientDataActions": list(alarm.insufficient_data_actions or ()),
    }
    of_state = {"OK": "OKActions", "ALARM": "AlarmActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
    message = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": _moment(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _moment(alarm.state_updated_timestamp),
        "Region": region_name(region),
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": old_state,
        **lists,
        "ActionExecutedAfterMuteWindow": False,
        "Trigger": _trigger(alarm),
    }
    return Change(
        arn=alarm.alarm_arn,
        actions=tuple(lists[of_state[alarm.state_value]]) if _is_true(alarm.actions_enabled) else (),
        subject=subject(alarm.state_value, alarm.name, region_name(region)),
        message=message,
        moment=alarm.state_updated_timestamp.replace(tzinfo=UTC),
    )


def subject(state: str, name: str, region: str) -> str:
    """The subject of a mail; a name that makes it too long is cut (how AWS does it is not documented)."""
    whole = f'{state}: "{name}" in {region}'
    beyond = len(whole) - LONGEST_SUBJECT
    return f'{state}: "{name[: -beyond - 3]}..." in {region}' if beyond > 0 else whole


@cache
def region_name(region: str) -> str:
    """A region by the name that messages of alarms have: `US East (N. Virginia)`, `EU (Ireland)`."""
    partitions = create_loader().load_data("endpoints")["partitions"]
    names = {code: each["description"] for partition in partitions for code, each in partition["regions"].items()}
    return str(names.get(region, region)).replace("Europe (", "EU (")


def _trigger(alarm: Any) -> dict[str, Any]:
    kind = "ExtendedStatistic" if alarm.extended_statistic else "Statistic"
    plain = _STATISTICS.get(alarm.statistic, str(alarm.statistic or "").upper())
    wanted = {"DatapointsToAlarm": int(alarm.datapoints_to_alarm)} if alarm.datapoints_to_alarm else {}
    return {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "StatisticType": kind,
        kind: alarm.extended_statistic or plain,
        "Unit": alarm.unit,
        "Dimensions": [{"value": each.value, "name": each.name} for each in alarm.dimensions],
        "Period": int(alarm.period),
        "EvaluationPeriods": int(alarm.evaluation_periods),
        **wanted,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": float(alarm.threshold),
        "TreatMissingData": alarm.treat_missing_data or "",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }


def _moment(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}+0000"


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"
