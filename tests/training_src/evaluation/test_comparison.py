# SPDX-License-Identifier: Apache-2.0
"""How far a fall is chance, and what a test set can show of it."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from training_src.evaluation.comparison import (
    Change,
    CommonClasses,
    ComparedEvidence,
    comparison_rules,
    fall_beyond_chance,
    images_needed,
    significance_rule,
    smallest_difference,
)
from training_src.evaluation.policy import ChampionRule


def test_one_test_goes_by_the_draws_and_several_by_their_deviation() -> None:
    assert fall_beyond_chance(-0.05, 0.02, -0.013, 1) == 0.013
    assert fall_beyond_chance(-0.05, 0.02, None, 1) == pytest.approx(0.05 - 1.644854 * 0.02)
    assert fall_beyond_chance(-0.05, 0.02, math.nan, 1) == pytest.approx(0.05 - 1.644854 * 0.02)
    assert fall_beyond_chance(-0.05, 0.02, -0.013, 2) == pytest.approx(0.05 - 1.959964 * 0.02)


@pytest.mark.parametrize("change", [Change(-0.1, -0.01), Change(0.1, 1.5), Change(-1.5, 0.01), Change(0.1, None), None])
def test_a_change_that_is_no_difference_of_shares_is_unknown(change: Change | None) -> None:
    rule = significance_rule("significance[mAP]", "mAP", "the champion", change, 1)
    assert (rule.comparison, rule.required, rule.actual, rule.passed) == ("at most", 0, -1, False)
    assert (
        rule.sentence == "mAP: its difference from the champion's is unknown, so that it is worse cannot be excluded."
    )


@pytest.mark.parametrize("change", [Change(1.0, 0.0), Change(0.0, 0.0), Change(1.0, 1.0, 0.5)])
def test_the_greatest_and_the_smallest_change_are_known(change: Change) -> None:
    assert significance_rule("significance[mAP]", "mAP", "the champion", change, 1).passed


def test_two_unknown_test_sets_are_not_the_same() -> None:
    rules = comparison_rules(ComparedEvidence(test_set=""), ChampionRule({}), "")
    assert [(rule.rule, rule.passed) for rule in rules] == [("champion", False)]


@pytest.mark.parametrize("tests", [1, 3, 10, 80])
def test_of_many_tests_of_equal_models_five_in_a_hundred_fail_at_most(tests: int) -> None:
    random = np.random.default_rng(11)
    fails = 0
    for changes in random.normal(0, 0.02, (2000, tests)):
        rules = [significance_rule("r", "AP", "the champion", Change(float(one), 0.02), tests) for one in changes]
        fails += not all(rule.passed for rule in rules)
    assert 0.03 < fails / 2000 < 0.065


def test_the_smallest_difference_is_shown_in_eight_of_ten_cases() -> None:
    random = np.random.default_rng(12)
    for deviation, margin in ((0.016, 0.025), (0.005, 0.025), (0.03, None)):
        true = smallest_difference(deviation, margin)
        falls = true + deviation * random.normal(size=4000)
        border = min(1.644854 * deviation, margin or math.inf)
        assert (falls > border).mean() == pytest.approx(0.8, abs=0.02)


def test_so_many_images_show_the_fall_that_the_policy_allows() -> None:
    needed = images_needed(0.016, 120, 0.025)
    deviation = 0.016 * math.sqrt(120 / needed)
    assert smallest_difference(deviation, None) == pytest.approx(0.025, rel=0.01)
    assert 300 < needed < 310
    assert needed == math.ceil(120 * (0.016 * (NormalDist().inv_cdf(0.95) + NormalDist().inv_cdf(0.8)) / 0.025) ** 2)


def test_the_share_of_common_classes_is_of_the_other_models() -> None:
    assert CommonClasses(("a",), ("b", "c"), ("d",)).share == 0.5
    assert CommonClasses((), ("a",)).share is None
