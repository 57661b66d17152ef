# SPDX-License-Identifier: Apache-2.0
"""Samples of metrics, each kept under exactly the dimensions with which it was given.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Dimension
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

MOST_SAMPLES = 20_000
"""Of one metric, that are remembered; older ones no alarm of a test or a demo looks at."""


@dataclass(frozen=True)
class Metric:
    """What tells a metric from every other: another set of dimensions is another metric.

    Attributes:
        dimensions: Pairs of name and value.
    """

    account: str
    region: str
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Summary:
    """Samples of a metric since the last summary."""

    count: int
    total: float
    least: float
    most: float


@dataclass
class _Kept:
    samples: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))
    fresh: list[float] = field(default_factory=list)


class Samples:
    """What has been measured lately.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Metric, _Kept] = {}

    def add(self, metric: Metric, value: float) -> None:
        """Keep a sample of now."""
        with self._lock:
            self._kept.setdefault(metric, _Kept()).samples.append((self._clock(), value))

    def measure(self, metric: Metric, value: float) -> None:
        """Keep a sample of now that nobody has put into CloudWatch yet, for the next summaries."""
        with self._lock:
            kept = self._kept.setdefault(metric, _Kept())
            kept.samples.append((self._clock(), value))
            kept.fresh.append(value)

    def periods(self, metric: Metric, seconds: float, count: int) -> list[list[float]]:
        """The samples of the last `count` whole periods of `seconds`, the oldest period first."""
        end = int(self._clock() // seconds)
        found: list[list[float]] = [[] for _ in range(count)]
        with self._lock:
            kept = list(self._kept[metric].samples) if metric in self._kept else []
        for moment, value in reversed(kept):
            index = int(moment // seconds) - (end - count)
            if index < 0:
                break
            if index < count:
                found[index].append(value)
        return found

    def begins(self, seconds: float, count: int) -> list[datetime]:
        """When the last `count` whole periods of `seconds` began, the oldest first."""
        end = int(self._clock() // seconds)
        return [datetime.fromtimestamp((end - back) * seconds, UTC) for back in range(count, 0, -1)]

    def summaries(self) -> dict[Metric, Summary]:
        """What was measured since the last call."""
        with self._lock:
            fresh = {metric: kept.fresh for metric, kept in self._kept.items() if kept.fresh}
            for metric in fresh:
                self._kept[metric].fresh = []
        return {metric: Summary(len(values), sum(values), min(values), max(values)) for metric, values in fresh.items()}


def dimensions(**named: str) -> frozenset[tuple[str, str]]:
    """The dimensions of a metric, by name."""
    return frozenset(named.items())


def of_pairs(pairs: list[Mapping[str, str]]) -> frozenset[tuple[str, str]]:
    """The dimensions of a metric as calls give them: a list of Name and Value."""
    return frozenset((pair["Name"], pair["Value"]) for pair in pairs)
