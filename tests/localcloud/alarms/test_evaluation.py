# SPDX-License-Identifier: Apache-2.0
"""When an alarm goes off, by its rule and the samples of its last periods."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.alarms.evaluation import Rule, judge, reason


def rule(**more: Any) -> Rule:
    given: dict[str, Any] = {
        "statistic": "Average",
        "comparison": "GreaterThanThreshold",
        "threshold": 0.5,
        "periods": 3,
        "breaches": 3,
        "missing": "missing",
    }
    return Rule(**(given | more))


HIGH, LOW, NONE = [1.0], [0.0], list[float]()


# The rows are those of the tables in AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html.
@pytest.mark.parametrize(
    ("periods", "missing", "state"),
    [
        ([LOW, HIGH, LOW], "missing", "OK"),
        ([HIGH, HIGH, HIGH], "missing", "ALARM"),
        ([NONE, NONE, HIGH], "missing", "ALARM"),
        ([NONE, NONE, HIGH], "ignore", None),
        ([NONE, NONE, HIGH], "breaching", "ALARM"),
        ([NONE, NONE, HIGH], "notBreaching", "OK"),
        ([NONE, NONE, NONE], "missing", "INSUFFICIENT_DATA"),
        ([NONE, NONE, NONE], "ignore", None),
        ([NONE, NONE, NONE], "breaching", "ALARM"),
        ([NONE, NONE, NONE], "notBreaching", "OK"),
    ],
)
def test_missing_periods_count_as_the_alarm_says(periods: list[list[float]], missing: str, state: str | None) -> None:
    assert judge(rule(missing=missing), periods) == state


def test_some_of_several_periods_may_be_enough() -> None:
    assert judge(rule(breaches=2), [HIGH, LOW, HIGH]) == "ALARM"
    assert judge(rule(breaches=2), [LOW, LOW, HIGH]) == "OK"


@pytest.mark.parametrize(
    ("statistic", "value"),
    [
        ("Sum", 5050),
        ("Average", 50.5),
        ("Minimum", 1),
        ("Maximum", 100),
        ("SampleCount", 100),
        ("p90", 90),
        ("p50", 50),
    ],
)
def test_each_statistic_is_compared_with_the_threshold(statistic: str, value: float) -> None:
    samples = [[float(number) for number in range(1, 101)]]
    reached = rule(statistic=statistic, comparison="GreaterThanOrEqualToThreshold", periods=1, breaches=1)
    assert judge(Rule(**(vars(reached) | {"threshold": value})), samples) == "ALARM"
    assert judge(Rule(**(vars(reached) | {"threshold": value + 0.1})), samples) == "OK"


def test_a_percentile_of_few_samples_leaves_the_alarm_alone_where_it_says_so() -> None:
    """AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html: fewer than 10 / (1 - 0.9) are few."""
    slow = rule(statistic="p90", periods=1, breaches=1)
    careful = Rule(**(vars(slow) | {"ignores_few": True}))
    assert judge(slow, [[1.0] * 99]) == "ALARM"
    assert judge(careful, [[1.0] * 99]) is None
    assert judge(careful, [[1.0] * 100]) == "ALARM"


def test_a_state_is_explained_as_cloudwatch_does_it() -> None:
    """As recorded in LocalStack's test_cloudwatch.py (test_put_metric_alarm, test_breaching_alarm_actions).

    Datapoints stand from the newest to the oldest.
    """
    begins = [datetime(2026, 3, 22, 15, minute, tzinfo=UTC) for minute in (28, 29, 30)]
    over = rule(statistic="Average")
    assert reason(over, [NONE, NONE, [21.5]], "ALARM", begins) == (
        f"Threshold Crossed: 1 datapoint [21.5 (22/03/26 15:30:00)] was greater than the threshold ({over.threshold})."
    )
    assert reason(over, [NONE, [0.0], [1.0]], "OK", begins) == (
        "Threshold Crossed: 2 datapoints [1.0 (22/03/26 15:30:00), 0.0 (22/03/26 15:29:00)] were not greater than "
        f"the threshold ({over.threshold})."
    )
    assert reason(rule(missing="breaching"), [NONE] * 3, "ALARM", begins) == (
        "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as "
        "[Breaching]."
    )
    assert reason(rule(missing="notBreaching"), [NONE], "OK", begins[2:]) == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[NonBreaching]."
    )
    assert (
        reason(rule(), [NONE, NONE], "INSUFFICIENT_DATA", begins[1:]) == "Insufficient Data: 2 datapoints were unknown."
    )
