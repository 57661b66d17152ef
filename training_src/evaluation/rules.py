# SPDX-License-Identifier: Apache-2.0
"""A rule's outcome, and how a number is compared so that nothing but a known, finite one within its range passes."""

import math
from dataclasses import dataclass
from typing import Literal

UNKNOWN = -1.0


@dataclass(frozen=True)
class Estimate:
    """A metric and the interval in which it would lie with other test images.

    Attributes:
        value: On the test images as they are; None where it is unknown.
        lower: The 5 % quantile of the bootstrap; None where it is unknown.
        upper: The 95 % quantile.
    """

    value: float | None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Rule:
    """One rule's outcome; `actual` is -1 where the number is unknown."""

    rule: str
    comparison: Literal["at least", "at most"]
    required: float
    actual: float
    passed: bool
    sentence: str


def known(value: float | None, least: float, greatest: float) -> float:
    """The value, or UNKNOWN for what is no finite number within its range."""
    if value is None or not math.isfinite(value) or not least <= value <= greatest:
        return UNKNOWN
    return float(value)


def lower_end(estimate: Estimate | None) -> float:
    """What counts of a metric from 0 to 1: the lower end of its interval, never more than its value; else UNKNOWN."""
    if estimate is None:
        return UNKNOWN
    ends = known(estimate.value, 0, 1), known(estimate.lower, 0, 1)
    return UNKNOWN if UNKNOWN in ends else min(ends)


def floor_rule(rule: str, required: float, estimate: Estimate | None, what: str) -> Rule:
    """A metric whose lower end must reach a floor.

    Args:
        rule: Its name.
        required: From 0 to 1; 0 asks only that the metric is known, and nothing reaches more than 1.
        estimate: The metric.
        what: What is measured, as a sentence begins.
    """
    lower = lower_end(estimate)
    passed = lower != UNKNOWN and lower >= required
    if estimate is None or lower == UNKNOWN:
        sentence = f"{what}: the value or its interval is unknown; {required:g} is required."
    elif required > 1:
        sentence = (
            f"{what} is {estimate.value:.4f}; the threshold given is no number from 0 to 1, so nothing can meet it."
        )
    else:
        asked = f"{required:g} is required" if required else "it must be known"
        sentence = f"{what} is {estimate.value:.4f}, at least {lower:.4f} by its interval; {asked}."
    return Rule(rule, "at least", float(required), lower, passed, sentence)


def count_rule(rule: str, required: int, actual: float | None, what: str, unit: str) -> Rule:
    """A number of things of which there must be so many."""
    value = known(actual, 0, math.inf)
    passed = value != UNKNOWN and value >= required
    sentence = (
        f"{what}: the number of {unit} is unknown; {required:g} is required."
        if value == UNKNOWN
        else f"{what} has {value:.0f} {unit}; {required:g} are required."
    )
    return Rule(rule, "at least", float(required), value, passed, sentence)


def share_rule(rule: str, required: float, actual: float | None, what: str) -> Rule:
    """A share from 0 to 1 that must be so great."""
    value = known(actual, 0, 1)
    passed = value != UNKNOWN and value >= required
    found = "is unknown" if value == UNKNOWN else f"is {value:.4f}"
    return Rule(rule, "at least", float(required), value, passed, f"{what} {found}; {required:g} is required.")


def limit_rule(rule: str, greatest: float, actual: float | None, what: str, unit: str) -> Rule:
    """A number above 0 that must be no greater."""
    value = known(actual, 0, math.inf)
    passed = value != UNKNOWN and value <= greatest
    found = "is unknown" if value == UNKNOWN else f"is {value:.4g}{unit}"
    return Rule(rule, "at most", float(greatest), value, passed, f"{what} {found}; {greatest:g}{unit} is allowed.")


def statement(rule: str, holds: bool, sentence: str) -> Rule:
    """Something that is so or is not."""
    return Rule(rule, "at least", 1.0, float(holds), holds, sentence)
