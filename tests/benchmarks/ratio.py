# SPDX-License-Identifier: Apache-2.0
"""Two things timed in turn, so that a machine whose speed drifts drifts for both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One ratio.

    Attributes:
        means: What the ratio is of, such as "times as fast".
    """

    what: str
    against: str
    ratio: float
    means: str


def ratio(ours: Callable[[], object], other: Callable[[], object], *, rounds: int = 5) -> float:
    """The median, over rounds, of how many times as fast `ours` is as `other`; one round before them is not counted."""
    ratios = []
    for counted in range(rounds + 1):
        mine, theirs = _seconds(ours), _seconds(other)
        if counted:
            ratios.append(theirs / mine)
    return statistics.median(ratios)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
