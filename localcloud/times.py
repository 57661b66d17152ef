# SPDX-License-Identifier: Apache-2.0
"""Times as records, requests and events have them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any


def time_scale() -> float:
    """How much of a bake really passes: a minute counts as a second, unless MAPGATE_BAKE_SCALE says otherwise."""
    return float(os.environ.get("MAPGATE_BAKE_SCALE", 1 / 60))


def now() -> str:
    """The present in ISO 8601, to the millisecond, as records keep it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def moment(value: Any) -> datetime:
    """A time as requests and moto give it (a datetime, seconds since 1970, ISO 8601), with time zone."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(str(value).replace("Z", "+00:00"))


def in_milliseconds(value: Any) -> Any:
    """`value` with every member whose name ends in `Time` turned from ISO 8601 into milliseconds, as events have it."""
    if isinstance(value, list):
        return [in_milliseconds(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: int(datetime.fromisoformat(item).timestamp() * 1000)
        if key.endswith("Time") and isinstance(item, str)
        else in_milliseconds(item)
        for key, item in value.items()
    }
