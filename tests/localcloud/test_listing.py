# SPDX-License-Identifier: Apache-2.0
"""Filters, order and pages of `List*` actions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.dispatch import ServiceError
from localcloud.listing import listed

JOBS = [
    {"JobName": f"job-{index}", "JobStatus": status, "CreationTime": f"2026-01-0{index}T00:00:00.000+00:00"}
    for index, status in enumerate(["Failed", "Completed", "Completed"], 1)
]


def names(**request: Any) -> list[str]:
    return [job["JobName"] for job in listed(request, JOBS, "Jobs", "JobName", "JobStatus")["Jobs"]]


def test_the_newest_comes_first_unless_asked_otherwise() -> None:
    assert names() == ["job-3", "job-2", "job-1"]
    assert names(SortOrder="Ascending") == ["job-1", "job-2", "job-3"]
    assert names(SortBy="Status", SortOrder="Ascending")[-1] == "job-1"


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ({"NameContains": "b-2"}, ["job-2"]),
        ({"StatusEquals": "Completed"}, ["job-3", "job-2"]),
        ({"CreationTimeAfter": datetime(2026, 1, 2, tzinfo=UTC)}, ["job-3"]),
        ({"CreationTimeBefore": datetime(2026, 1, 2, tzinfo=UTC).timestamp()}, ["job-1"]),
        ({"CreationTimeAfter": "2026-01-01T00:00:00Z", "StatusEquals": "Failed"}, []),
    ],
)
def test_filters_leave_what_matches(request_: dict[str, Any], found: list[str]) -> None:
    assert names(**request_) == found


def test_pages_follow_one_another_by_their_tokens() -> None:
    first = listed({"MaxResults": 2}, JOBS, "Jobs", "JobName", "JobStatus")
    rest = listed({"MaxResults": 2, "NextToken": first["NextToken"]}, JOBS, "Jobs", "JobName", "JobStatus")
    assert [len(page["Jobs"]) for page in (first, rest)] == [2, 1]
    assert "NextToken" not in rest
    with pytest.raises(ServiceError, match="Invalid pagination token"):
        names(NextToken="yesterday")
