# SPDX-License-Identifier: Apache-2.0
"""The challenger beside another model: what serves now, or the best version that ever served.

Both answer the same images and are compared over the classes that both have, by name. Draws of these images (the paired
bootstrap) say how far a difference is chance:

- no metric that the policy names may fall further than it allows, however uncertain the fall is;
- mAP may not be significantly worse: were both equal, a fall so great would be seen in fewer than 5 of 100 test sets;
- no class's AP may be: the same at 5 % divided by the number of classes, so that many classes do not make a false
  alarm certain (Bonferroni's correction: https://en.wikipedia.org/wiki/Bonferroni_correction).
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

from training_src.evaluation.policy import ChampionRule
from training_src.evaluation.rules import UNKNOWN, Rule, known, statement

SIGNIFICANCE = 0.05
POWER = 0.8
"""With which probability a fall is noticed of which the gate says that this test set can show it."""
OVERALL = "mAP"


@dataclass(frozen=True)
class Change:
    """The challenger's metric minus the other model's, on the same images.

    Attributes:
        value: The difference itself; None where either is unknown.
        standard_deviation: Of the paired difference over the draws; None where it is unknown.
        upper: Its 95 % quantile.
    """

    value: float | None
    standard_deviation: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class CommonClasses:
    """Which classes two models have, by name.

    Attributes:
        common: Both have them.
        new: The challenger alone has them.
        missing: The other model alone has them.
        renamed: Pairs of the other's name and the challenger's for an id that both have under different names.
        alike: Pairs of a missing name and a new one that look alike and differ.
    """

    common: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    alike: tuple[tuple[str, str], ...] = ()

    @property
    def share(self) -> float | None:
        """Of the other model's classes, how many the challenger has; None where it has none at all."""
        theirs = len(self.common) + len(self.missing)
        return len(self.common) / theirs if theirs else None


@dataclass(frozen=True)
class ComparedEvidence:
    """Another model, measured on the same images.

    Attributes:
        metrics: Its numbers over the common classes, by COCO's names.
        change: The challenger's minus these.
        per_class_change: The same of AP, by the names of the common classes that the test set has boxes of.
        classes: Which classes both have.
        test_set: Digest of the images it was measured on; None when that is not known.
        reason: Why it could not be measured; None if it was.
        waiver: What an administrator wrote to go on without it; None where nobody did. It counts only beside a reason.
    """

    metrics: Mapping[str, float | None] = field(default_factory=dict)
    change: Mapping[str, Change] = field(default_factory=dict)
    per_class_change: Mapping[str, Change] = field(default_factory=dict)
    classes: CommonClasses = field(default_factory=CommonClasses)
    test_set: str | None = None
    reason: str | None = None
    waiver: str | None = None

    @property
    def is_waived(self) -> bool:
        """Whether the comparison passes without a number."""
        return self.reason is not None and bool(self.waiver)


def comparison_rules(
    other: ComparedEvidence | None,
    rule: ChampionRule | None,
    test_set: str,
    exempt: Collection[str] = (),
    *,
    best: bool = False,
) -> Iterator[Rule]:
    """The rules on another model.

    Args:
        other: It; None where there is none.
        rule: The policy's; None asks for no comparison.
        test_set: Digest of the present test images.
        exempt: Classes that may become worse.
        best: Whether it is the best version that ever served, of whose comparison nobody can waive anything.
    """
    if other is None or rule is None:
        return
    prefix, who = ("best.", "the best version that ever served") if best else ("", "the champion")
    reason = other.reason
    if reason is None and (not test_set or other.test_set != test_set):
        reason = "it was measured on other images"
    if reason is not None:
        yield _unmeasured("best" if best else "champion", who, reason, None if best else other)
        return
    for pair in other.classes.alike:
        yield _look_alike(f"{prefix}class_names", who, *pair)
    yield _common_classes(f"{prefix}common_classes", who, other.classes, rule.least_common_classes)
    for name, greatest in rule.greatest_fall.items():
        yield _fall(f"{prefix}regression[{name}]", name, who, other, greatest)
    yield significance_rule(f"{prefix}significance[{OVERALL}]", OVERALL, who, other.change.get(OVERALL), 1)
    asked = {name: change for name, change in other.per_class_change.items() if name not in exempt}
    for name, change in asked.items():
        yield significance_rule(f"{prefix}significance[{name}]", f'AP of class "{name}"', who, change, len(asked))


def significance_rule(rule: str, what: str, who: str, change: Change | None, tests: int) -> Rule:
    """Whether a metric is not significantly worse.

    Args:
        rule: Its name.
        what: The metric, as a sentence begins.
        who: The other model.
        change: Challenger minus the other.
        tests: Among how many such rules the 5 % are divided.

    Returns:
        The rule: the fall, less what chance explains of it, is at most 0.
    """
    change = change or Change(None)
    value, deviation = change.value, change.standard_deviation
    if value is None or deviation is None or known(abs(value), 0, 1) == UNKNOWN or known(deviation, 0, 1) == UNKNOWN:
        sentence = f"{what}: its difference from {who}'s is unknown, so that it is worse cannot be excluded."
        return Rule(rule, "at most", 0.0, UNKNOWN, False, sentence)
    least = fall_beyond_chance(value, deviation, change.upper, tests)
    passed = least <= 0
    sentence = f"{what} differs from {who}'s by {value:+.4f} ± {deviation:.4f} on the same images: " + (
        "not significantly worse." if passed else f"significantly worse, by {least:.4f} at least."
    )
    return Rule(rule, "at most", 0.0, least, passed, sentence)


def fall_beyond_chance(change: float, standard_deviation: float, upper: float | None, tests: int) -> float:
    """The lower end of the one-sided interval of a fall at 5 % divided by the number of tests.

    Of a single test it is the quantile of the draws, where that is known. In the far tail of several tests a thousand
    draws are too few, and the normal distribution with their standard deviation stands for them.

    Args:
        change: Challenger minus the other.
        standard_deviation: Of the change over the draws.
        upper: Its 95 % quantile; None where it is unknown.
        tests: Among how many the 5 % are divided.
    """
    if tests == 1 and upper is not None and math.isfinite(upper):
        return -upper
    return -change - NormalDist().inv_cdf(1 - SIGNIFICANCE / tests) * standard_deviation


def smallest_difference(standard_deviation: float, greatest_fall: float | None) -> float:
    """The true fall that is noticed with a probability of `POWER`.

    Args:
        standard_deviation: Of the difference on these test images.
        greatest_fall: The policy's, which notices what exceeds it without any test; None where there is none.
    """
    border = NormalDist().inv_cdf(1 - SIGNIFICANCE) * standard_deviation
    border = border if greatest_fall is None else min(border, greatest_fall)
    return border + NormalDist().inv_cdf(POWER) * standard_deviation


def images_needed(standard_deviation: float, images: int, fall: float) -> int:
    """How many such images notice a true fall with a probability of `POWER`: the deviation falls with their root."""
    needed = fall / (NormalDist().inv_cdf(1 - SIGNIFICANCE) + NormalDist().inv_cdf(POWER))
    return math.ceil(images * (standard_deviation / needed) ** 2)


def _unmeasured(rule: str, who: str, reason: str, champion: ComparedEvidence | None) -> Rule:
    begin = f"{who[0].upper()}{who[1:]} could not be measured ({reason})"
    if champion is not None and champion.is_waived:
        sentence = f"{begin}; an administrator waived the comparison: {champion.waiver}."
        return Rule(rule, "at least", 1.0, UNKNOWN, True, sentence)
    return Rule(rule, "at least", 1.0, UNKNOWN, False, f"{begin}, so no regression can be excluded.")


def _look_alike(rule: str, who: str, theirs: str, ours: str) -> Rule:
    """Two names that a reader takes for one: whether the class became worse is asked of neither."""
    begin = f'The class "{theirs}" of {who} and the challenger\'s "{ours}" look alike and are written with other'
    sentence = f"{begin} characters ({theirs!a} and {ours!a}): give the class its name of before, or another."
    return statement(f"{rule}[{ours}]", False, sentence)


def _common_classes(rule: str, who: str, classes: CommonClasses, least: float) -> Rule:
    share = classes.share
    value = UNKNOWN if share is None else share
    theirs = len(classes.common) + len(classes.missing)
    sentence = f"Of {theirs} classes of {who} the challenger has {len(classes.common)}, {least:g} of them are required"
    for what, names in (
        ("new", classes.new),
        ("missing", classes.missing),
        ("renamed", [f"{theirs} to {ours}" for theirs, ours in classes.renamed]),
    ):
        sentence += f"; {what}: {', '.join(names)}" if names else ""
    passed = value != UNKNOWN and value >= least
    sentence += "." if passed else ". Detectors of other classes belong in an environment of their own."
    return Rule(rule, "at least", least, value, passed, sentence)


def _fall(rule: str, name: str, who: str, other: ComparedEvidence, greatest: float) -> Rule:
    change, theirs = other.change.get(name), known(other.metrics.get(name), 0, 1)
    value = None if change is None else change.value
    if value is None or theirs == UNKNOWN or known(abs(value), 0, 1) == UNKNOWN:
        sentence = f"{name} or its difference from {who}'s is unknown, so no regression can be excluded."
        return Rule(rule, "at most", greatest, UNKNOWN, False, sentence)
    fall = -value
    passed = fall <= greatest
    sentence = f"{name} is {theirs + value:.4f}, {who}'s {theirs:.4f} on the same images: " + (
        f"a fall of {fall:.4f}, {'within' if passed else 'more than'} the {greatest:g} allowed."
        if fall > 0
        else f"no fall, {greatest:g} is allowed."
    )
    return Rule(rule, "at most", greatest, fall, passed, sentence)
