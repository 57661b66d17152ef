# SPDX-License-Identifier: Apache-2.0
"""The clock of what happens minutes or hours later: schedules, the delivery of access logs. Tests move it.

`POST /mapgate/clock` with `{"advance_seconds": 3600}` lets an hour pass for them, and for nothing else.
"""

from __future__ import annotations

import json
import time

PATH = "/mapgate/clock"

_offset = 0.0


def now() -> float:
    """Seconds since 1970, as far as the clock was moved."""
    return time.time() + _offset


def receive(body: bytes) -> None:
    """Move the clock.

    Raises:
        ValueError: Backwards, or by no number.
    """
    global _offset
    seconds = json.loads(body)["advance_seconds"]
    if not isinstance(seconds, int | float) or seconds < 0:
        raise ValueError(f"advance_seconds is {seconds!r}: give a number of seconds, at least 0")
    _offset += seconds
