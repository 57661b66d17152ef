# SPDX-License-Identifier: Apache-2.0
"""Rules with a schedule: EventBridge calls their targets at times of the cloud's clock, which tests move.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from localcloud import clock
from localcloud.context import CloudContext
from localcloud.dispatch import Call, ServiceError, add_check, backends, state_lock
from localcloud.events import cron, event_bridge
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


def next_moment(expression: str, now: float) -> float | None:
    """When a rule is due that was called, or made, just now; None for never again.

    The verdicts of AWS on expressions are recorded in LocalStack's tests,
    tests/aws/services/events/test_events_schedule.py.

    Args:
        expression: `rate(...)` or `cron(...)`.
        now: Seconds since 1970.

    Raises:
        ServiceError: EventBridge does not take the expression.
    """
    if rate := _RATE.fullmatch(expression):
        if (rate[1] == "1") != bool(rate[3]):
            return now + int(rate[1]) * _SECONDS[rate[2]]
    else:
        with suppress(ValueError):
            moment = cron.parse(expression).following(datetime.fromtimestamp(now, UTC))
            return moment.timestamp() if moment else None
    raise ServiceError("ValidationException", "Parameter ScheduleExpression is not valid.")


def _check(action: str, call: Call) -> None:
    if action == "PutRule" and call.parameters.get("ScheduleExpression"):
        next_moment(call.parameters["ScheduleExpression"], clock.now())


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

    A rule that is new, or has another schedule than before, is first due when one period is over, or at the first of
    its times.
    """
    following: dict[str, list[Any]] = {}
    for rule in rules:
        expression = rule.scheduled_expression
        before, moment = due.get(rule.arn, ("", None))
        if before != expression:
            moment = next_moment(expression, now)
        elif moment is not None and moment <= now:
            if rule.state == "ENABLED":
                call(rule)
            moment = next_moment(expression, now)
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
