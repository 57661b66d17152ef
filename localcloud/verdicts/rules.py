# SPDX-License-Identifier: Apache-2.0
"""What EventBridge refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from localcloud.dispatch import Call
from localcloud.verdicts.registry import parameter, refuses

_MAX_ENTRIES_SIZE = 262_144
_OWN_PLACEHOLDERS = ("aws.events.", "aws.")
_NUMBER = r"\d{1,2}"
_STEP = rf"(?:\*|{_NUMBER}(?:-{_NUMBER})?)(?:/{_NUMBER})?"
_MONTH = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAY = "SUN|MON|TUE|WED|THU|FRI|SAT"
_YEAR = r"(?:19[7-9]\d|20\d\d|21\d\d)"


def _list_of(one: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{one})(?:,(?:{one}))*")


_CRON = (
    _list_of(r"(?:\*|[0-5]?\d(?:-[0-5]?\d)?)(?:/[0-5]?\d)?"),
    _list_of(r"(?:\*|(?:[01]?\d|2[0-3])(?:-(?:[01]?\d|2[0-3]))?)(?:/\d{1,2})?"),
    _list_of(rf"\?|L|LW|(?:[12]?\d|3[01])W|{_STEP}"),
    _list_of(rf"(?:\*|(?:{_MONTH}|1[0-2]|[1-9])(?:-(?:{_MONTH}|1[0-2]|[1-9]))?)(?:/{_NUMBER})?"),
    _list_of(rf"\?|\*|L|[1-7]L|(?:{_DAY}|[1-7])(?:-(?:{_DAY}|[1-7])|#[1-5])?(?:/\d)?"),
    _list_of(rf"(?:\*|{_YEAR}(?:-{_YEAR})?)(?:/\d{{1,3}})?"),
)
"""Minutes, hours, day of month, month, day of week and year, in the words of
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""


@refuses("events", "PutRule", "ValidationException", "events/test_events_schedule.py")
def _odd_cron(call: Call) -> str:
    expression = parameter(call, "ScheduleExpression")
    if not expression.startswith("cron("):
        return ""
    fields = expression.removeprefix("cron(").removesuffix(")").split()
    fit = len(fields) == len(_CRON) and all(one.fullmatch(field) for one, field in zip(_CRON, fields, strict=True))
    one_day = fit and "?" in (fields[2], fields[4])
    return "" if one_day else "Parameter ScheduleExpression is not valid."


@refuses("events", "PutEvents", "ValidationException", "events/test_events.py")
def _large_entries(call: Call) -> str:
    texts = (
        entry.get(name) or "" for entry in call.parameters["Entries"] for name in ("Detail", "DetailType", "Source")
    )
    size = sum(len(text.encode()) for text in texts)
    return "Total size of the entries in the request is over the limit." if size > _MAX_ENTRIES_SIZE else ""


@refuses("events", "PutTargets", "ValidationException", "events/test_events_inputs.py")
def _odd_input(call: Call) -> str:
    for target in call.parameters["Targets"]:
        if sum(bool(target.get(name)) for name in ("Input", "InputPath", "InputTransformer")) > 1:
            return f"Only one of Input, InputPath, or InputTransformer must be provided for target {target['Id']}."
        transformer = target.get("InputTransformer") or {}
        for name in _unknown_placeholders(
            transformer.get("InputTemplate") or "", transformer.get("InputPathsMap") or {}
        ):
            return f"InputTemplate for target {target['Id']} contains invalid placeholder {name}."
    return ""


def _unknown_placeholders(template: str, paths: dict[str, str]) -> Iterator[str]:
    for name in re.findall(r"<([\w.-]+)>", template):
        if name not in paths and not name.startswith(_OWN_PLACEHOLDERS):
            yield name
