# SPDX-License-Identifier: Apache-2.0
"""EventBridge's cron expressions: six fields, in UTC, with `?`, `L`, `W` and `#`. Pure.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_EXPRESSION = re.compile(r"cron\(([^()]*)\)")
_NUMBERS = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([0-9]+))?")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LAST_WEEKDAY = 7
_SATURDAY, _SUNDAY = 5, 6
"""As Python counts them."""


@dataclass(frozen=True)
class Cron:
    """When something happens.

    Attributes:
        days: Of the month; "?" where the weekdays say it.
        weekdays: 1 is Sunday; "?" where the days of the month say it.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: str
    months: tuple[int, ...]
    weekdays: str
    years: tuple[int, ...]

    def following(self, moment: datetime) -> datetime | None:
        """The first time after a moment; None where all are past.

        Args:
            moment: In UTC.
        """
        for date in self._dates(moment):
            for hour in self.hours:
                for minute in self.minutes:
                    found = date.replace(hour=hour, minute=minute)
                    if found > moment:
                        return found
        return None

    def _dates(self, moment: datetime) -> Iterator[datetime]:
        for year in self.years:
            for month in self.months if year >= moment.year else ():
                if (year, month) < (moment.year, moment.month):
                    continue
                for day in sorted(_days(self.days, self.weekdays, year, month)):
                    if (year, month, day) >= (moment.year, moment.month, moment.day):
                        yield datetime(year, month, day, tzinfo=UTC)


def parse(expression: str) -> Cron:
    """Read `cron(minutes hours days months weekdays years)`.

    Raises:
        ValueError: It is none.
    """
    match = _EXPRESSION.fullmatch(expression)
    try:
        minutes, hours, days, months, weekdays, years = match[1].split() if match else [""]
        if (days == "?") == (weekdays == "?"):
            raise ValueError("days are told once")
        _days(days, weekdays, 2000, 1)  # refuses what is none
        return Cron(
            minutes=_numbers(minutes, 0, 59),
            hours=_numbers(hours, 0, 23),
            days=days,
            months=_numbers(months, 1, 12, _MONTHS),
            weekdays=weekdays,
            years=_numbers(years, 1970, 2199),
        )
    except ValueError as error:
        raise ValueError(f"{expression!r} is no cron expression: {error}") from None


def _numbers(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> tuple[int, ...]:
    """What `*`, numbers, names, ranges and steps stand for, in order."""
    found: set[int] = set()
    for part in field.split(","):
        match = _NUMBERS.fullmatch(part)
        if not match:
            raise ValueError(field)
        first = _number(match[1], low, high, names) if match[1] else low
        alone = match[1] and not match[3]
        last = _number(match[2], low, high, names) if match[2] else first if alone else high
        if first > last:
            raise ValueError(field)
        found.update(range(first, last + 1, _number(match[3] or "1", 1, high)))
    return tuple(sorted(found))


def _number(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> int:
    if text in names:
        return names.index(text) + 1
    if not re.fullmatch("[0-9]{1,4}", text) or not low <= int(text) <= high:
        raise ValueError(text)
    return int(text)


def _days(days: str, weekdays: str, year: int, month: int) -> set[int]:
    """The days of a month that the two fields mean together."""
    first, count = monthrange(year, month)
    if weekdays == "?":
        return {day for part in days.split(",") for day in _of_month(part, first, count) if day <= count}
    if "#" in weekdays:  # "you can define only one expression"
        weekday, _, week = weekdays.partition("#")
        (which,) = _numbers(week, 1, 5)
        return set(_of_weekday(_number(weekday, 1, 7, _WEEKDAYS), first, count)[which - 1 : which])
    return {day for part in weekdays.split(",") for day in _of_weekdays(part, first, count)}


def _of_month(part: str, first: int, count: int) -> tuple[int, ...]:
    if part == "L":
        return (count,)
    if not part.endswith("W"):
        return _numbers(part, 1, 31)
    day = count if part == "LW" else _number(part.removesuffix("W"), 1, 31)
    weekday = (first + day - 1) % 7
    if weekday == _SATURDAY:
        return (day - 1 if day > 1 else day + 2,)
    if weekday == _SUNDAY:
        return (day + 1 if day < count else day - 2,)
    return (day,)


def _of_weekdays(part: str, first: int, count: int) -> Iterator[int]:
    if part == "L":
        yield from _of_weekday(_LAST_WEEKDAY, first, count)
    elif part.endswith("L"):
        yield _of_weekday(_number(part.removesuffix("L"), 1, 7, _WEEKDAYS), first, count)[-1]
    elif "/" in part:
        raise ValueError(part)
    else:
        for weekday in _numbers(part, 1, 7, _WEEKDAYS):
            yield from _of_weekday(weekday, first, count)


def _of_weekday(weekday: int, first: int, count: int) -> list[int]:
    return [day for day in range(1, count + 1) if (first + day) % 7 + 1 == weekday]
