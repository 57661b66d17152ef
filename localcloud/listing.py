# SPDX-License-Identifier: Apache-2.0
"""`List*` actions: filters, order and pages, as SageMaker has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.dispatch import invalid
from localcloud.times import moment


def listed(
    request: Mapping[str, Any],
    summaries: Sequence[dict[str, Any]],
    answer: str,
    name_field: str,
    status_field: str,
) -> dict[str, Any]:
    """One page of `summaries`.

    Args:
        request: Parameters of the call.
        summaries: All of them, with times as ISO 8601 strings.
        answer: The member of the answer that holds the page.
        name_field: The member that NameContains and SortBy Name look at.
        status_field: The member that StatusEquals and SortBy Status look at.

    Raises:
        ServiceError: The token is not one of ours.
    """
    chosen = [each for each in summaries if _matches(request, each, name_field, status_field)]
    orders = {"Name": name_field, "Status": status_field}
    field = orders.get(request.get("SortBy", ""), "CreationTime")
    descending = request.get("SortOrder", "Descending") == "Descending"
    chosen.sort(key=lambda each: str(each.get(field, "")), reverse=descending)
    return paged(request, chosen, answer)


def paged(request: Mapping[str, Any], items: Sequence[Any], answer: str) -> dict[str, Any]:
    """One page of `items`, in their order.

    Raises:
        ServiceError: The token is not one of ours.
    """
    token, size = request.get("NextToken"), int(request.get("MaxResults") or 100)
    if token is not None and not str(token).isdigit():
        raise invalid(f"Invalid pagination token: {token}")
    start = int(token or 0)
    page: dict[str, Any] = {answer: list(items[start : start + size])}
    if start + size < len(items):
        page["NextToken"] = str(start + size)
    return page


def _matches(request: Mapping[str, Any], summary: Mapping[str, Any], name_field: str, status_field: str) -> bool:
    if request.get("NameContains", "") not in summary.get(name_field, ""):
        return False
    if request.get("StatusEquals", summary.get(status_field)) != summary.get(status_field):
        return False
    for parameter, field in (("Creation", "CreationTime"), ("LastModified", "LastModifiedTime")):
        at = moment(summary[field]) if field in summary else None
        after, before = request.get(f"{parameter}TimeAfter"), request.get(f"{parameter}TimeBefore")
        if at and ((after and at <= moment(after)) or (before and at >= moment(before))):
            return False
    return True
