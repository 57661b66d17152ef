# SPDX-License-Identifier: Apache-2.0
"""When an alarm goes off: a pure function of its rule and of the samples in its last periods.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_IN_WORDS = {
    "GreaterThanThreshold": "greater than",
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}
FEW = 10
"""A percentile needs this many samples beyond it to be significant.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html
"""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What an alarm watches for.

    Attributes:
        statistic: `Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount` or a percentile such as `p90`.
        comparison: ComparisonOperator.
        periods: EvaluationPeriods.
        breaches: DatapointsToAlarm.
        missing: TreatMissingData.
        ignores_few: Whether EvaluateLowSampleCountPercentile is `ignore`.
    """

    statistic: str
    comparison: str
    threshold: float
    periods: int
    breaches: int
    missing: str = "missing"
    ignores_few: bool = False


def judge(rule: Rule, periods: Sequence[Sequence[float]]) -> str | None:
    """The state of an alarm; None where it stays what it is.

    Args:
        rule: The alarm's.
        periods: The samples of each of its last periods.
    """
    if rule.ignores_few and any(_is_few(rule.statistic, samples) for samples in periods if samples):
        return None
    breaches = COMPARISONS[rule.comparison]
    told = [breaches(statistic(rule.statistic, samples), rule.threshold) for samples in periods if samples]
    absent = len(periods) - len(told)
    if rule.missing in ("breaching", "notBreaching"):
        told += [rule.missing == "breaching"] * absent
    elif not told:
        return None if rule.missing == "ignore" else "INSUFFICIENT_DATA"
    elif rule.missing == "ignore" and len(told) < rule.breaches:
        return None
    return "ALARM" if sum(told) >= min(rule.breaches, len(told)) else "OK"


def reason(rule: Rule, periods: Sequence[Sequence[float]], state: str, begins: Sequence[datetime]) -> str:
    """Why an alarm has its state, in CloudWatch's words; it has more of them where DatapointsToAlarm is given.

    Args:
        rule: The alarm's.
        periods: The samples of each of its last periods.
        state: What `judge` said.
        begins: Of each period.
    """
    found = [(statistic(rule.statistic, each), at) for each, at in zip(periods, begins, strict=True) if each]
    absent = len(periods) - len(found)
    if state == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {_counted(absent, 'datapoint')} unknown."
    treated = {"breaching": "Breaching", "notBreaching": "NonBreaching"}.get(rule.missing)
    missing = f" and {_counted(absent, 'missing datapoint')} treated as [{treated}]" if absent and treated else ""
    if not found:
        several = "period" if absent == 1 else "periods"
        return f"Threshold Crossed: no datapoints were received for {absent} {several}{missing}."
    values = ", ".join(f"{float(value)} ({at:%d/%m/%y %H:%M:%S})" for value, at in reversed(found))
    subject, verb = _counted(len(found), "datapoint").rsplit(" ", 1)
    compared = f"{'' if state == 'ALARM' else 'not '}{_IN_WORDS[rule.comparison]} the threshold ({rule.threshold})"
    return f"Threshold Crossed: {subject} [{values}] {verb} {compared}{missing}."


def statistic(name: str, samples: Sequence[float]) -> float:
    """One number for the samples of a period."""
    match name:
        case "Sum":
            return sum(samples)
        case "Average":
            return sum(samples) / len(samples)
        case "Minimum":
            return min(samples)
        case "Maximum":
            return max(samples)
        case "SampleCount":
            return len(samples)
    return sorted(samples)[max(math.ceil(_share(name) * len(samples)) - 1, 0)]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun} was" if number == 1 else f"{number} {noun}s were"


def _is_few(name: str, samples: Sequence[float]) -> bool:
    share = _share(name)
    return 0 < share < 1 and len(samples) < round(FEW / (1 - share if share >= 0.5 else share), 6)


def _share(percentile: str) -> float:
    return float(percentile[1:]) / 100 if percentile.startswith("p") else 0.0
