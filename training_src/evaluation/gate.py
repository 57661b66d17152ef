# SPDX-License-Identifier: Apache-2.0
"""The quality gate: a pure function of numbers and a policy that fails closed.

A rule passes only when its number is known, finite, within its range and good enough. Everything else, a missing
metric, NaN, too little support, a score of other images, a champion that could not be measured, is a failure with a
sentence that says what to do.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from training_src.evaluation.policy import GatePolicy

UNKNOWN = -1.0
_NAMED = 3


@dataclass(frozen=True)
class ClassEvidence:
    """One class's numbers: `values` by `AP`, `AP50`, ..., and how many boxes of it the test set has."""

    values: Mapping[str, float | None]
    support: float | None


@dataclass(frozen=True)
class ChampionEvidence:
    """What serves now, measured on the same images.

    Attributes:
        metrics: COCO's numbers.
        test_set: Digest of the images it was measured on; None when that is not known.
        reason: Why it could not be measured; None if it was.
        waiver: What an administrator wrote to go on without it; None where nobody did. It counts only beside a reason.
    """

    metrics: Mapping[str, float | None] = field(default_factory=dict)
    test_set: str | None = None
    reason: str | None = None
    waiver: str | None = None

    @property
    def is_waived(self) -> bool:
        """Whether the comparison passes without a number."""
        return self.reason is not None and bool(self.waiver)


@dataclass(frozen=True)
class ParityEvidence:
    """How the serving runtime's detections compare with the SavedModel's.

    Attributes:
        runtime: The runtime that will serve: the fastest that is equal, and where none is, the fastest.
        matched: Share of detections that both gave, 0 to 1.
        mean_ap_difference: Serving runtime's mAP minus the SavedModel's.
    """

    runtime: str
    matched: float | None
    mean_ap_difference: float | None


@dataclass(frozen=True)
class Evidence:
    """All numbers that the gate looks at.

    Attributes:
        test_set: Digest of the test images as they are now.
        scored: Digest of the images that the detections belong to; None when not known.
        model: Digest of the model's archive.
        measured: Digest of the archive that was measured; None when not known.
        dataset: Content hash of the prepared data set that the test set is part of.
        trained_on: The same hash as the model recorded it; None when not known.
        images: Test images that were scored.
        metrics: COCO's numbers of what will be served, None where unknown.
        classes: Every class of the label map, by name.
        champion: None when nothing serves yet.
        parity: None where no runtime was measured that could serve.
    """

    test_set: str
    scored: str | None
    model: str
    measured: str | None
    dataset: str
    trained_on: str | None
    images: float | None
    metrics: Mapping[str, float | None]
    classes: Mapping[str, ClassEvidence]
    champion: ChampionEvidence | None
    parity: ParityEvidence | None


@dataclass(frozen=True)
class Rule:
    """One rule's outcome; `actual` is -1 where the number is unknown."""

    rule: str
    comparison: Literal["at least", "at most"]
    required: float
    actual: float
    passed: bool
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The gate's answer; every number in it is finite."""

    passed: bool
    sentence: str
    mean_ap: float
    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        """One line a rule, then the verdict."""
        width = max(len(rule.rule) for rule in self.rules)
        lines = [f"{'pass' if rule.passed else 'FAIL'}  {rule.rule:<{width}}  {rule.sentence}" for rule in self.rules]
        return "\n".join([*lines, f"{'GATE PASSED' if self.passed else 'GATE FAILED'}: {self.sentence}"])


def judge(evidence: Evidence, policy: GatePolicy, map_threshold: float = 0.0) -> Verdict:
    """Whether a detector may go on.

    Args:
        evidence: The numbers.
        policy: The rules.
        map_threshold: Lowest mAP besides the policy's own; it can only tighten.
    """
    rules = tuple(_rules(evidence, policy, map_threshold))
    failed = [rule.sentence for rule in rules if not rule.passed]
    mean_ap = _number(evidence.metrics.get("mAP"), 0, 1)
    if not failed:
        shown = ", ".join(f"{name} {evidence.metrics[name]:.4f}" for name in sorted({"mAP", *policy.metrics}))
        sentence = f"All {len(rules)} rules are met ({shown})."
        if evidence.champion is not None and evidence.champion.is_waived:
            # Whoever approves must read of it.
            sentence += "".join(f" {rule.sentence}" for rule in rules if rule.rule.startswith("regression["))
        return Verdict(True, sentence, mean_ap, rules)
    more = f" And {len(failed) - _NAMED} more." if len(failed) > _NAMED else ""
    return Verdict(False, " ".join(failed[:_NAMED]) + more, mean_ap, rules)


def _rules(evidence: Evidence, policy: GatePolicy, map_threshold: float) -> Iterator[Rule]:
    yield _same_test_set(evidence)
    yield _same_model(evidence)
    yield _same_dataset(evidence)
    support = {name: found.support for name, found in evidence.classes.items()}
    yield from support_rules(evidence.images, support, policy)
    yield from _metric_rules(evidence, policy, map_threshold)
    yield from _class_rules(evidence, policy)
    yield from _champion_rules(evidence, policy)
    yield from _serving_rules(evidence, policy)


def support_rules(images: float | None, support: Mapping[str, float | None], policy: GatePolicy) -> Iterator[Rule]:
    """What a test set must hold for a policy to judge by it, whatever the detector.

    Args:
        images: Test images.
        support: Boxes to be found in them of every class of the label map, by name.
        policy: The rules.
    """
    yield _at_least("support.images", policy.support.images, images, "The test set", "images", math.inf)
    for name in sorted({*policy.classes, *policy.exempt_classes} - set(support)):
        sentence = f'The policy names a class "{name}" that the label map does not have.'
        yield Rule(f"class[{name}]", "at least", 1.0, 0.0, False, sentence)
    for name, boxes in support.items():
        if name not in policy.exempt_classes or policy.classes.get(name):
            least = policy.support.boxes_per_class
            yield _at_least(f"support[{name}]", least, boxes, f'Class "{name}"', "boxes in the test set", math.inf)


def _same_test_set(evidence: Evidence) -> Rule:
    same = bool(evidence.test_set) and evidence.scored == evidence.test_set
    sentence = (
        "The score was computed on the present test set."
        if same
        else "The score was not computed on the present test set: the measured images are others; measure again."
    )
    return Rule("test_set", "at least", 1.0, float(same), same, sentence)


def _same_model(evidence: Evidence) -> Rule:
    same = bool(evidence.model) and evidence.measured == evidence.model
    sentence = (
        "The measured model is the one to be registered."
        if same
        else "The measured model is not the one to be registered; measure again."
    )
    return Rule("model", "at least", 1.0, float(same), same, sentence)


def _same_dataset(evidence: Evidence) -> Rule:
    same = bool(evidence.dataset) and evidence.trained_on == evidence.dataset
    trained = evidence.trained_on[:16] if evidence.trained_on else "an unknown data set"
    sentence = (
        "The model was trained on the data set that the test set is part of."
        if same
        else f"The model was trained on {trained}, the test set is of {(evidence.dataset or 'an unknown one')[:16]}: "
        "test images may be among those it was trained on; train again."
    )
    return Rule("dataset", "at least", 1.0, float(same), same, sentence)


def _metric_rules(evidence: Evidence, policy: GatePolicy, map_threshold: float) -> Iterator[Rule]:
    required = {"mAP": 0.0, **policy.metrics}
    required["mAP"] = _tightened(required["mAP"], map_threshold)
    for name, lowest in required.items():
        yield _at_least(name, lowest, evidence.metrics.get(name), f"{name} of the test set", "", 1)


def _tightened(own: float, threshold: float) -> float:
    """The stricter of two thresholds; one that is no number from 0 to 1 cannot be met."""
    if not math.isfinite(threshold) or threshold > 1:
        return 2.0
    return max(own, threshold)


def _class_rules(evidence: Evidence, policy: GatePolicy) -> Iterator[Rule]:
    for name, found in evidence.classes.items():
        lowest = {**policy.every_class} if name not in policy.exempt_classes else {}
        for metric, value in policy.classes.get(name, {}).items():
            lowest[metric] = max(value, lowest.get(metric, 0.0))
        for metric, value in lowest.items():
            yield _at_least(f"{metric}[{name}]", value, found.values.get(metric), f'{metric} of class "{name}"', "", 1)
    if not evidence.classes:
        yield Rule("classes", "at least", 1.0, 0.0, False, "No class was scored.")


def _champion_rules(evidence: Evidence, policy: GatePolicy) -> Iterator[Rule]:
    champion = evidence.champion
    if policy.champion is None or champion is None:
        return
    unmeasured = champion.reason
    if unmeasured is None and champion.test_set != evidence.test_set:
        unmeasured = "it was measured on other images"
    for name, greatest in policy.champion.greatest_regression.items():
        rule = f"regression[{name}]"
        theirs, ours = _number(champion.metrics.get(name), 0, 1), _number(evidence.metrics.get(name), 0, 1)
        reason = unmeasured or (f"its {name} is unknown" if theirs == UNKNOWN else None)
        if champion.is_waived:
            sentence = (
                f"The champion could not be measured ({reason}); an administrator waived the comparison in {name}: "
                f"{champion.waiver}."
            )
            yield Rule(rule, "at most", greatest, UNKNOWN, True, sentence)
        elif reason is not None:
            sentence = f"The champion could not be measured ({reason}), so no regression can be excluded."
            yield Rule(rule, "at most", greatest, UNKNOWN, False, sentence)
        elif ours == UNKNOWN:
            sentence = f"{name} of the test set is unknown, so no regression can be excluded."
            yield Rule(rule, "at most", greatest, UNKNOWN, False, sentence)
        else:
            fall = theirs - ours
            passed = fall <= greatest
            sentence = f"{name} is {ours:.4f}, the champion's {theirs:.4f} on the same images: " + (
                f"a fall of {fall:.4f}, {'within' if passed else 'more than'} the {greatest:g} allowed."
                if fall > 0
                else f"no fall, {greatest:g} is allowed."
            )
            yield Rule(rule, "at most", greatest, fall, passed, sentence)


def _serving_rules(evidence: Evidence, policy: GatePolicy) -> Iterator[Rule]:
    parity, least = evidence.parity, policy.serving.least_matched
    if parity is None:
        sentence = (
            "Nothing can serve this model: it has no form that the image of the endpoint's instance type runs, beside "
            "its SavedModel; the training's log says why none was written."
        )
        yield Rule("serving.matched", "at least", least, UNKNOWN, False, sentence)
        return
    what = f"The share of detections in which {parity.runtime} equals the SavedModel"
    matched = _at_least("serving.matched", least, parity.matched, what, "", 1)
    difference = _mean_ap_difference(parity, policy.serving.greatest_difference["mAP"])
    for rule in (matched, difference):
        yield rule if rule.passed else replace(rule, sentence=_nothing_serves(rule.sentence))


def _mean_ap_difference(parity: ParityEvidence, greatest: float) -> Rule:
    change, name = parity.mean_ap_difference, "serving.mAP_difference"
    if change is None or not math.isfinite(change) or abs(change) > 1:
        sentence = f"The difference in mAP between {parity.runtime} and the SavedModel is unknown."
        return Rule(name, "at most", greatest, UNKNOWN, False, sentence)
    sentence = (
        f"mAP served by {parity.runtime} differs from the SavedModel's by {abs(change):.4f}; {greatest:g} is allowed."
    )
    return Rule(name, "at most", greatest, abs(change), abs(change) <= greatest, sentence)


def _nothing_serves(sentence: str) -> str:
    """The fastest runtime whose detections are the SavedModel's serves: one that fails is told of where none is."""
    return f"No runtime of the endpoint's image gives the SavedModel's detections: {sentence[0].lower()}{sentence[1:]}"


def _at_least(rule: str, required: float, actual: float | None, what: str, unit: str, greatest: float) -> Rule:
    value = _number(actual, 0, greatest)
    passed = value != UNKNOWN and value >= required
    if value == UNKNOWN:
        sentence = f"{what}: {f'the number of {unit}' if unit else 'the value'} is unknown; {required:g} is required."
    elif unit:
        sentence = f"{what} has {value:.0f} {unit}; {required:g} are required."
    elif required > greatest:
        sentence = f"{what} is {value:.4f}; the threshold given is no number from 0 to 1, so nothing can meet it."
    else:
        sentence = f"{what} is {value:.4f}; {f'{required:g} is required' if required else 'it must be known'}."
    return Rule(rule, "at least", float(required), value, passed, sentence)


def _number(value: float | None, least: float, greatest: float) -> float:
    """The value, or UNKNOWN for what is no finite number within its range."""
    if value is None or not math.isfinite(value) or not least <= value <= greatest:
        return UNKNOWN
    return float(value)
