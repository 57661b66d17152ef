# SPDX-License-Identifier: Apache-2.0
"""An alarm that changes its state publishes to the topics of its actions, where topic and key let CloudWatch.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-actions.html
https://repost.aws/knowledge-center/cloudwatch-receive-sns-for-alarm-trigger
What came of it is told by DescribeAlarmHistory, whose changes of configuration are not kept here.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.alarms.messages import Change, change_of
from localcloud.authorisation.enforcement import service_may, service_may_use_key
from localcloud.clients import client
from localcloud.dispatch import Call, backend, replace_action, state_lock
from localcloud.moto_patches import alarm_changes_through

log = logging.getLogger(__name__)

SERVICE = "cloudwatch.amazonaws.com"
MOST_ITEMS = 1000
"""Of an account's history in a region, that are remembered; AWS keeps 30 days."""
MOST_RECORDS = 100
"""Of an answer. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarmHistory.html"""
NOT_LET_IN = "Resource: {alarm} is not authorized to perform: SNS:Publish on resource: {topic}"
NO_KEY = "CloudWatch Alarms does not have authorization to access the SNS topic encryption key."
"""https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns"""

_workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="alarm")


def install() -> None:
    """Hear of every change of an alarm's state, and answer what is asked about them."""
    alarm_changes_through(_take)
    replace_action("cloudwatch", "DescribeAlarmHistory", _describe_history)


def _take(alarm: Any, old_state: str, old_reason: str) -> None:
    """Keep a change, and act on it later: moto's lock is held now."""
    change = change_of(alarm, old_state)
    new: dict[str, Any] = {"stateValue": alarm.state_value, "stateReason": alarm.state_reason}
    reasons = json.loads(alarm.state_reason_data or "{}")
    data = {
        "version": "1.0",
        "oldState": {"stateValue": old_state, "stateReason": old_reason},
        "newState": {**new, "stateReasonData": reasons} if reasons else new,
    }
    _keep(change, "StateUpdate", f"Alarm updated from {old_state} to {alarm.state_value}", data)
    if change.actions:
        _workers.submit(_act, change)


def _act(change: Change) -> None:
    try:
        for topic in change.actions:
            _publish(change, topic)
    except Exception:
        log.exception("actions of %s", change.arn)


def _publish(change: Change, topic: str) -> None:
    """Publish as the service, or note why it may not."""
    message = json.dumps(change.message)
    error = _refusal(change, topic)
    if not error:
        region, account = topic.split(":")[3:5]
        try:
            client("sns", account, region).publish(TopicArn=topic, Subject=change.subject, Message=message)
        except ClientError as refused:
            error = refused.response["Error"]["Message"]
        except BotoCoreError as failed:
            error = str(failed)
    data = {
        "actionState": "Failed" if error else "Succeeded",
        "stateUpdateTimestamp": int(change.moment.timestamp() * 1000),
        "notificationResource": topic,
        "publishedMessage": None if error else message,
    }
    if error:
        log.warning('Failed to execute action %s of %s. Received error: "%s"', topic, change.arn, error)
        _keep(change, "Action", f"Failed to execute action {topic}", {**data, "error": error})
    else:
        _keep(change, "Action", f"Successfully executed action {topic}", data)


def _refusal(change: Change, topic: str) -> str:
    """Why CloudWatch may not publish to a topic; empty where it may.

    A topic's first policy lets in by `aws:SourceOwner` whoever acts for the account:
    https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html#source-account-versus-source-owner
    """
    region, account = topic.split(":")[3:5]
    with state_lock:
        found = backend("sns", account, region).topics.get(topic)
        policy, key = (found.policy, found.kms_master_key_id) if found else (None, None)
    source = {"aws:SourceArn": change.arn, "aws:SourceAccount": change.account, "aws:SourceOwner": change.account}
    if not service_may(SERVICE, "sns:Publish", topic, policy, source):
        return NOT_LET_IN.format(alarm=change.arn, topic=topic)
    if key and not service_may_use_key(SERVICE, key, account, region, source):
        return NO_KEY
    return ""


def _keep(change: Change, kind: str, summary: str, data: dict[str, Any]) -> None:
    item = {
        "AlarmName": change.name,
        "AlarmType": "MetricAlarm",
        "Timestamp": change.moment if kind == "StateUpdate" else datetime.now(UTC),
        "HistoryItemType": kind,
        "HistoryData": json.dumps(data),
        "HistorySummary": summary,
    }
    with state_lock:
        _history(change.account, change.region).append(item)


def _history(account: str, region: str) -> deque[dict[str, Any]]:
    """What is kept, the oldest first; it lies with moto's state, and stays when an alarm goes."""
    kept: deque[dict[str, Any]] = backend("cloudwatch", account, region).__dict__.setdefault(
        "alarm_history", deque(maxlen=MOST_ITEMS)
    )
    return kept


def _describe_history(call: Call) -> dict[str, Any]:
    asked = call.parameters
    with state_lock:
        items = list(_history(call.account, call.region))
    if asked.get("AlarmTypes") and "MetricAlarm" not in asked["AlarmTypes"]:
        items = []
    for member in ("AlarmName", "HistoryItemType"):
        items = [item for item in items if asked.get(member) in (None, "", item[member])]
    first, last = asked.get("StartDate"), asked.get("EndDate")
    items = [
        item
        for item in items
        if (not first or item["Timestamp"] >= _aware(first)) and (not last or item["Timestamp"] <= _aware(last))
    ]
    if asked.get("ScanBy") != "TimestampAscending":
        items.reverse()
    start = int(asked.get("NextToken") or 0)
    end = start + int(asked.get("MaxRecords") or MOST_RECORDS)
    more = {"NextToken": str(end)} if end < len(items) else {}
    return {"AlarmHistoryItems": items[start:end], **more}


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)
