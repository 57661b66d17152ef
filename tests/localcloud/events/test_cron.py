# SPDX-License-Identifier: Apache-2.0
"""Cron expressions mean the times that EventBridge's guide says, and what is none is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from localcloud.events.cron import parse

START = datetime(2026, 11, 30, 8, 30, 30, tzinfo=UTC)
"""A Monday."""


def times(expression: str, count: int = 3, start: datetime = START) -> list[str]:
    moment, found = parse(f"cron({expression})").following(start), list[str]()
    while moment and len(found) < count:
        found.append(f"{moment:%a %Y-%m-%d %H:%M}")
        moment = parse(f"cron({expression})").following(moment)
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [  # those of https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html, and the like
        ("0 10 * * ? *", ["Mon 2026-11-30 10:00", "Tue 2026-12-01 10:00", "Wed 2026-12-02 10:00"]),
        ("0 18 ? * MON-FRI *", ["Mon 2026-11-30 18:00", "Tue 2026-12-01 18:00", "Wed 2026-12-02 18:00"]),
        ("0 8 1 * ? *", ["Tue 2026-12-01 08:00", "Fri 2027-01-01 08:00", "Mon 2027-02-01 08:00"]),
        ("0/15 * * * ? *", ["Mon 2026-11-30 08:45", "Mon 2026-11-30 09:00", "Mon 2026-11-30 09:15"]),
        ("*/25 * * * ? *", ["Mon 2026-11-30 08:50", "Mon 2026-11-30 09:00", "Mon 2026-11-30 09:25"]),
        ("5,35 8-9 ? * 2 *", ["Mon 2026-11-30 08:35", "Mon 2026-11-30 09:05", "Mon 2026-11-30 09:35"]),
        ("0 0/12 ? * SAT *", ["Sat 2026-12-05 00:00", "Sat 2026-12-05 12:00", "Sat 2026-12-12 00:00"]),
        ("0 9 ? * 2#1 *", ["Mon 2026-12-07 09:00", "Mon 2027-01-04 09:00", "Mon 2027-02-01 09:00"]),
        ("0 2 ? * SAT#5 *", ["Sat 2027-01-30 02:00", "Sat 2027-05-29 02:00", "Sat 2027-07-31 02:00"]),
        ("15 10 ? * 6L *", ["Fri 2026-12-25 10:15", "Fri 2027-01-29 10:15", "Fri 2027-02-26 10:15"]),
        ("0 1 ? * L *", ["Sat 2026-12-05 01:00", "Sat 2026-12-12 01:00", "Sat 2026-12-19 01:00"]),
        ("0 1 L * ? *", ["Thu 2026-12-31 01:00", "Sun 2027-01-31 01:00", "Sun 2027-02-28 01:00"]),
        ("0 1 LW * ? *", ["Thu 2026-12-31 01:00", "Fri 2027-01-29 01:00", "Fri 2027-02-26 01:00"]),
        ("0 1 3W * ? *", ["Thu 2026-12-03 01:00", "Mon 2027-01-04 01:00", "Wed 2027-02-03 01:00"]),
        ("0 1 1W MAY ? *", ["Mon 2027-05-03 01:00", "Mon 2028-05-01 01:00", "Tue 2029-05-01 01:00"]),
        ("0 1 31 1-3 ? *", ["Sun 2027-01-31 01:00", "Wed 2027-03-31 01:00", "Mon 2028-01-31 01:00"]),
        ("0 0 29 2 ? *", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00", "Fri 2036-02-29 00:00"]),
        ("0 0 1 1 ? 2027/100", ["Fri 2027-01-01 00:00", "Wed 2127-01-01 00:00"]),
        ("15 10 ? * 6L 2002-2005", []),
        ("0 0 30 2 ? *", []),
    ],
)  # fmt: skip
def test_the_times_that_follow(expression: str, expected: list[str]) -> None:
    assert times(expression) == expected


def test_each_minute_is_one_and_its_own_moment_is_past() -> None:
    every = parse("cron(* * * * ? *)")
    minute = START.replace(second=0) + timedelta(minutes=1)
    assert every.following(START) == minute
    assert every.following(minute) == minute + timedelta(minutes=1)


@pytest.mark.parametrize(
    "fields",
    [
        "", "INVALID", "0 1 * * * *", "0 1 ? * ? *", "0 dummy ? * MON-FRI *", "71 8 1 * ? *", "7 20 * * NOT *",
        "0 24 * * ? *", "0 1 0 * ? *", "0 1 32 * ? *", "0 1 * 13 ? *", "0 1 ? * 8 *", "0 1 ? * 0 *", "0 1 ? * 2#6 *",
        "0 1 ? * 3#1,6#3 *", "0 1 * * ?", "0 1 * * ? * *", "? 1 * * * *", "0 1 * * ? 1969", "0/0 1 * * ? *",
        "5-1 1 * * ? *", "0,,5 1 * * ? *", "0 1 ?,5 * ? *", "0 1 W * ? *", "-1 1 * * ? *", "0/60 1 * * ? *",
        "0 1 ? * */2 *",
    ],
)  # fmt: skip
def test_what_is_no_such_expression_is_refused(fields: str) -> None:
    with pytest.raises(ValueError, match="is no cron expression"):
        parse(f"cron({fields})")


@pytest.mark.parametrize("expression", ["0 1 * * ? *", "cron(0 1 * * ? *", " cron(0 1 * * ? *)", "CRON(0 1 * * ? *)"])
def test_what_stands_around_it_is_read_too(expression: str) -> None:
    with pytest.raises(ValueError, match="is no cron expression"):
        parse(expression)
