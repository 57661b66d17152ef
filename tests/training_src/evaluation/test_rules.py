# SPDX-License-Identifier: Apache-2.0
"""Nothing passes a rule but a known, finite number within its range."""

import math

import pytest

from training_src.evaluation.rules import Estimate, Rule, count_rule, floor_rule, limit_rule, lower_end, share_rule

NO_SHARE = [None, math.nan, math.inf, -math.inf, -1.0, -0.25, 1.25]
NO_COUNT = [None, math.nan, math.inf, -math.inf, -1.0, -0.25]


@pytest.mark.parametrize("odd", NO_SHARE)
def test_a_metric_counts_only_where_its_value_and_its_lower_end_are_shares(odd: float | None) -> None:
    assert lower_end(Estimate(odd, 0.5, 0.6)) == -1
    assert lower_end(Estimate(0.5, odd, 0.6)) == -1
    assert not floor_rule("mAP", 0, Estimate(odd, 0.5, 0.6), "mAP").passed


def test_the_upper_end_of_an_interval_counts_for_nothing() -> None:
    assert lower_end(Estimate(0.5, 0.4, None)) == 0.4
    assert lower_end(None) == -1


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_metric_at_its_floor_passes(value: float) -> None:
    rule = floor_rule("mAP", value, Estimate(value, value, value), "mAP")
    assert (rule.actual, rule.passed) == (value, True)


def test_no_metric_reaches_a_floor_above_1() -> None:
    rule = floor_rule("mAP", 1.5, Estimate(1, 1, 1), "mAP")
    assert not rule.passed
    assert rule.sentence == "mAP is 1.0000; the threshold given is no number from 0 to 1, so nothing can meet it."


@pytest.mark.parametrize("odd", NO_COUNT)
def test_a_count_that_is_none_is_unknown(odd: float | None) -> None:
    rule = count_rule("support.images", 0, odd, "The test set", "images")
    unknown = "The test set: the number of images is unknown; 0 is required."
    assert rule == Rule("support.images", "at least", 0, -1, False, unknown)


@pytest.mark.parametrize(("count", "passed"), [(0, False), (1, False), (49, False), (50, True), (51, True)])
def test_so_many_things_are_enough(count: int, passed: bool) -> None:
    rule = count_rule("support.images", 50, count, "The test set", "images")
    told = f"The test set has {count} images; 50 are required."
    assert rule == Rule("support.images", "at least", 50, count, passed, told)


@pytest.mark.parametrize("odd", NO_SHARE)
def test_a_share_that_is_none_is_unknown(odd: float | None) -> None:
    rule = share_rule("serving.matched", 0, odd, "The share")
    assert (rule.actual, rule.passed, rule.sentence) == (-1, False, "The share is unknown; 0 is required.")


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_at_its_floor_passes(share: float) -> None:
    rule = share_rule("serving.matched", share, share, "The share")
    told = f"The share is {share:.4f}; {share:g} is required."
    assert rule == Rule("serving.matched", "at least", share, share, True, told)


@pytest.mark.parametrize("odd", NO_COUNT)
def test_what_must_be_small_and_is_no_number_from_0_up_is_unknown(odd: float | None) -> None:
    rule = limit_rule("serving.latency", 80, odd, "The time", " ms")
    assert (rule.actual, rule.passed, rule.sentence) == (-1, False, "The time is unknown; 80 ms is allowed.")


@pytest.mark.parametrize(("value", "passed"), [(0, True), (0.5, True), (80, True), (80.5, False)])
def test_what_must_be_small_passes_up_to_its_limit(value: float, passed: bool) -> None:
    rule = limit_rule("serving.latency", 80, value, "The time", " ms")
    told = f"The time is {value:g} ms; 80 ms is allowed."
    assert rule == Rule("serving.latency", "at most", 80, value, passed, told)
