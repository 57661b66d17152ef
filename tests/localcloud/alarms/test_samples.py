# SPDX-License-Identifier: Apache-2.0
"""Samples under exactly the dimensions with which they came."""

from __future__ import annotations

from localcloud.alarms.samples import Metric, Samples, Summary, dimensions


def metric(**named: str) -> Metric:
    return Metric("123456789012", "us-east-1", "N", "Errors", dimensions(**named))


def test_another_set_of_dimensions_is_another_metric() -> None:
    now = [59.0]
    samples = Samples(lambda: now[0])
    samples.add(metric(Endpoint="a"), 1)
    samples.add(metric(Endpoint="a", Config="b"), 2)
    now[0] = 61.0
    assert samples.periods(metric(Endpoint="a"), 60, 1) == [[1]]
    assert samples.periods(metric(Endpoint="a", Config="b"), 60, 1) == [[2]]
    assert samples.periods(metric(), 60, 1) == [[]]


def test_only_whole_periods_are_looked_at() -> None:
    now = [5.0]
    samples = Samples(lambda: now[0])
    for now[0] in (5.0, 15.0, 25.0, 31.0):
        samples.add(metric(), now[0])
    assert samples.periods(metric(), 10, 2) == [[15.0], [25.0]]


def test_what_was_measured_is_summed_up_once() -> None:
    samples = Samples()
    for value in (1.0, 3.0):
        samples.measure(metric(), value)
    samples.add(metric(), 100)
    assert samples.summaries() == {metric(): Summary(2, 4.0, 1.0, 3.0)}
    assert samples.summaries() == {}
