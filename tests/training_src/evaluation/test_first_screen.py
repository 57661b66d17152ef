# SPDX-License-Identifier: Apache-2.0
"""Words of the first screen: what can be told from chance, and names that people know."""

import pytest

from training_src.evaluation.first_screen import SHOWN, _judged, _said, short, shown, split, version_of
from training_src.evaluation.schema import Change, RuleResult


@pytest.mark.parametrize(
    ("value", "lower", "upper", "judged", "word", "kind"),
    [
        (-0.1, -0.2, -0.05, None, "surely worse", "worse"),
        (-0.1, -0.2, -0.05, False, "surely worse", "worse"),
        # Of many classes one may fall so far by chance: the gate's own test reckons with that.
        (-0.1, -0.2, -0.05, True, "likely worse", "worse"),
        (-0.1, -0.2, 0.05, True, "may be chance", "same"),
        (0.1, 0.05, 0.2, True, "surely better", "better"),
        (0.0, -0.1, 0.1, None, "equal", "same"),
        (-0.1, None, None, None, "worse", "worse"),
        (0.0, None, None, None, "equal", "same"),
        (None, None, None, None, "unknown", "same"),
    ],
)
def test_a_change_is_called_what_it_is(
    value: float | None, lower: float | None, upper: float | None, judged: bool | None, word: str, kind: str
) -> None:
    assert _said(Change(value=value, lower=lower, upper=upper), judged) == (word, kind)


def test_the_gate_s_own_significance_is_told_by_class_and_by_model() -> None:
    rules = [
        RuleResult(rule=rule, comparison="at most", required=0, actual=0, passed=passed, sentence="")
        for rule, passed in (("significance[a[b]]", False), ("best.significance[c]", True), ("regression[mAP]", True))
    ]
    assert _judged(rules, "") == {"a[b]": False}
    assert _judged(rules, "best.") == {"c": True}


@pytest.mark.parametrize(
    ("arn", "name"),
    [("arn:aws:sagemaker:eu-west-1:1:model-package/cells/12", "version 12"), ("odd", "odd"), (None, ""), ("", "")],
)
def test_a_version_is_called_by_its_number(arn: str | None, name: str) -> None:
    assert version_of(arn) == name


def test_values_and_paths_are_short_enough_to_be_read() -> None:
    assert shown("ab" * 32) == "ab" * 6
    assert (shown("x" * 64), shown(0.1 + 0.2), shown(None), shown(8)) == ("x" * 64, "0.3", "none", "8")
    assert short("train_config.batch_size") == "train_config.batch_size"
    assert short("train_config.optimizer.momentum_optimizer.learning_rate.base") == "learning_rate.base"


def test_a_single_row_is_not_worth_a_click() -> None:
    assert split(range(SHOWN + 1)) == (range(SHOWN + 1), ())
    now, later = split(range(SHOWN + 2))
    assert (len(now), len(later)) == (SHOWN, 2)
