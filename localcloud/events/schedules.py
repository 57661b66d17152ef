# SPDX-License-Identifier: Apache-2.0
"""Rules with a schedule: EventBridge calls their targets at regular intervals of the cloud's clock, which tests move.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from localcloud import clock
from localcloud.context import CloudContext
from localcloud.dispatch import Call, ServiceError, add_check, backends, state_lock
from localcloud.events import event_bridge
from localcloud.home import Home, read_json, write_json

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
_RATE = re.compile(r"rate\(([1-9][0-9]*) (minute|hour|day)(s?)\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}

_home: Home


def install(context: CloudContext) -> None:
    """Refuse schedules that EventBridge does not take."""
    global _home
    _home = Home(context.home)
    add_check("events", _check)


def resume(_: CloudContext) -> None:
    """Go on with the schedules; what was due while the cloud stood still happens once."""
    threading.Thread(target=_run_for_ever, name="schedules", daemon=True).start()


def period(expression: str) -> int:
    """Seconds between two calls.

    The verdicts of AWS on expressions of the form `rate(...)` are recorded in LocalStack's tests,
    tests/aws/services/events/test_events_schedule.py.

    Raises:
        ServiceError: EventBridge does not take the expression, or the emulated cloud does not.
    """
    if expression.startswith("cron("):
        raise ServiceError("NotImplemented", "the emulated cloud has schedules of the form rate(...) only", 501)
    rate = _RATE.fullmatch(expression)
    if rate is None or (rate[1] == "1") == bool(rate[3]):
        raise ServiceError("ValidationException", "Parameter ScheduleExpression is not valid.")
    return int(rate[1]) * _SECONDS[rate[2]]


def _check(action: str, call: Call) -> None:
    if action == "PutRule" and call.parameters.get("ScheduleExpression"):
        period(call.parameters["ScheduleExpression"])


def _run_for_ever() -> None:
    due: dict[str, list[Any]] = read_json(_home.state / "schedules.json") or {}
    while True:
        time.sleep(LOOK_SECONDS)
        try:
            following = following_moments(due, _scheduled(), clock.now(), _call)
            if following != due:
                due = following
                write_json(_home.state / "schedules.json", due)
        except Exception:
            log.exception("schedules")


def following_moments(
    due: dict[str, list[Any]], rules: Iterator[Any], now: float, call: Callable[[Any], None]
) -> dict[str, list[Any]]:
    """Call what is due, and return when each rule is due next: by its ARN its expression and the moment.

    A rule that is new, or has another schedule than before, is first due when one period is over.
    """
    following: dict[str, list[Any]] = {}
    for rule in rules:
        expression, seconds = rule.scheduled_expression, period(rule.scheduled_expression)
        before, moment = due.get(rule.arn, ("", 0.0))
        if before != expression:
            moment = now + seconds
        elif moment <= now:
            if rule.state == "ENABLED":
                call(rule)
            moment = now + seconds
        following[rule.arn] = [expression, moment]
    return following


def _scheduled() -> Iterator[Any]:
    with state_lock:
        found = [
            rule
            for _, _, buses in backends("events")
            for rule in buses.event_buses["default"].rules.values()
            if rule.scheduled_expression
        ]
    yield from found


def _call(rule: Any) -> None:
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": rule.account_id,
        "time": datetime.fromtimestamp(clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": rule.region_name,
        "resources": [rule.arn],
        "detail": {},
    }
    with state_lock:
        event_bridge.deliver(rule, event)
