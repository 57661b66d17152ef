# SPDX-License-Identifier: Apache-2.0
"""Times as records, requests and events have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from localcloud.times import in_milliseconds, moment, now

SECOND = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_present_reads_back_with_its_zone() -> None:
    assert abs(datetime.now(UTC) - moment(now())) < timedelta(seconds=5)


def test_every_form_of_a_time_is_the_same_moment() -> None:
    forms = (SECOND, SECOND.replace(tzinfo=None), SECOND.timestamp(), "2026-01-02T03:04:05Z", SECOND.isoformat())
    assert {moment(form) for form in forms} == {SECOND}
    assert moment(SECOND.astimezone(timezone(timedelta(hours=2)))) == SECOND


def test_events_have_milliseconds_where_names_end_in_time() -> None:
    described = {"CreationTime": SECOND.isoformat(), "Steps": [{"EndTime": SECOND.isoformat(), "Name": "Time"}]}
    stamp = int(SECOND.timestamp() * 1000)
    assert in_milliseconds(described) == {"CreationTime": stamp, "Steps": [{"EndTime": stamp, "Name": "Time"}]}
