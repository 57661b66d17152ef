# SPDX-License-Identifier: Apache-2.0
"""The quality gate: a pure function of numbers and a policy that fails closed.

A rule passes only when its number is known, finite, within its range and good enough. Everything else, a missing
metric, NaN, too little support, a score of other images, a champion that could not be measured, is a failure with a
sentence that says what to do. Of a metric the lower end of its interval is asked, so that luck with few images does not
pass; `comparison.py` asks how the challenger stands beside the champion and the best version that ever served.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from training_src.evaluation.comparison import ComparedEvidence, comparison_rules
from training_src.evaluation.policy import GatePolicy, ServingRule
from training_src.evaluation.rules import (
    UNKNOWN,
    Estimate,
    Rule,
    count_rule,
    floor_rule,
    known,
    limit_rule,
    share_rule,
    statement,
)
from training_src.evaluation.support import is_exempt, support_rules

_NAMED = 3


@dataclass(frozen=True)
class ClassEvidence:
    """One class's numbers.

    Attributes:
        values: By `AP`, `AP50`, ...
        support: How many boxes of it the test set has.
        recall: At the precision that the policy names for the class; None where it names none.
    """

    values: Mapping[str, Estimate]
    support: float | None
    recall: Estimate | None = None


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
class ResourceEvidence:
    """What serving costs on the endpoint's instance type; None where it is unknown.

    Attributes:
        latency_p99_milliseconds: Of 99 of 100 answers, with one request after the other.
        resident_megabytes: Memory of the server.
        artifact_megabytes: Size of model.tar.gz.
    """

    latency_p99_milliseconds: float | None = None
    resident_megabytes: float | None = None
    artifact_megabytes: float | None = None


@dataclass(frozen=True)
class Evidence:
    """All numbers that the gate looks at.

    Attributes:
        test_set: Digest of the test images as they are now.
        scored: Digest of the images that the detections belong to; None when not known.
        model: Digest of the model's archive.
        measured: Digest of the archive that was measured; None when not known.
        dataset: Content hash of the prepared data set that the execution brought.
        trained_on: The same hash as the model recorded it; None when not known.
        images: Test images that were scored, those left out not among them.
        metrics: COCO's numbers of what will be served.
        classes: Every class of the label map, by name.
        champion: None when nothing serves yet.
        parity: None where no runtime was measured that could serve.
        best: The best version that ever served; None where there is none, or the champion is it.
        slices: COCO's numbers of parts of the test set, by `column=value`.
        resources: What serving costs.
        left_out: Test images that a model has learnt from, which were not scored.
        unlearnt: Classes that the test set asks for and the model has not, by name, with their boxes to be found.
        notes: What whoever reads the verdict must know besides: a sentence each.
    """

    test_set: str
    scored: str | None
    model: str
    measured: str | None
    dataset: str
    trained_on: str | None
    images: float | None
    metrics: Mapping[str, Estimate]
    classes: Mapping[str, ClassEvidence]
    champion: ComparedEvidence | None
    parity: ParityEvidence | None
    best: ComparedEvidence | None = None
    slices: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    resources: ResourceEvidence = field(default_factory=ResourceEvidence)
    left_out: int = 0
    unlearnt: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


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
    found = evidence.metrics.get("mAP")
    mean_ap = known(found.value if found else None, 0, 1)
    if failed:
        more = [f"And {len(failed) - _NAMED} more."] if len(failed) > _NAMED else []
        return Verdict(False, " ".join([*failed[:_NAMED], *more, *evidence.notes]), mean_ap, rules)
    shown = ", ".join(f"{name} {evidence.metrics[name].value:.4f}" for name in sorted({"mAP", *policy.metrics}))
    # Whoever approves must read of a waiver.
    waived = [rule.sentence for rule in rules if rule.rule == "champion"]
    sentences = [f"All {len(rules)} rules are met ({shown}).", *waived, *evidence.notes]
    return Verdict(True, " ".join(sentences), mean_ap, rules)


def _rules(evidence: Evidence, policy: GatePolicy, map_threshold: float) -> Iterator[Rule]:
    yield from _test_set_rules(evidence, policy)
    yield _same_model(evidence)
    yield _same_dataset(evidence)
    support = {name: found.support for name, found in evidence.classes.items()}
    yield from support_rules(evidence.images, support, policy)
    for name in evidence.unlearnt:
        if name not in policy.exempt_classes:
            sentence = f'The test set asks for class "{name}", which the model has not learnt.'
            yield statement(f"class[{name}]", False, sentence)
    if policy.least_images_left is not None and evidence.left_out:
        what = f"Without the {evidence.left_out} test images that a model has learnt from, the test set"
        yield count_rule("exclusion.images", policy.least_images_left, evidence.images, what, "images")
    yield from _metric_rules(evidence, policy, map_threshold)
    yield from _class_rules(evidence, policy)
    yield from _slice_rules(evidence, policy)
    exempt = [name for name, boxes in support.items() if is_exempt(name, boxes, policy)]
    yield from comparison_rules(evidence.champion, policy.champion, evidence.test_set, exempt)
    yield from comparison_rules(evidence.best, policy.champion, evidence.test_set, exempt, best=True)
    yield from _serving_rules(evidence.parity, policy.serving)
    yield from _resource_rules(evidence.resources, policy.serving)


def _test_set_rules(evidence: Evidence, policy: GatePolicy) -> Iterator[Rule]:
    same = bool(evidence.test_set) and evidence.scored == evidence.test_set
    sentence = (
        "The score was computed on the present test set."
        if same
        else "The score was not computed on the present test set: the measured images are others; measure again."
    )
    yield statement("test_set", same, sentence)
    if policy.test_set is None:
        return
    named = evidence.test_set == policy.test_set.sha256
    sentence = (
        "The test set is the one that the policy names."
        if named
        else f"The policy names the test set {policy.test_set.uri} by the digest {policy.test_set.sha256[:16]}; "
        f"measured was {(evidence.test_set or 'an unknown one')[:16]}: put the policy or the test set right."
    )
    yield statement("test_set.named", named, sentence)


def _same_model(evidence: Evidence) -> Rule:
    same = bool(evidence.model) and evidence.measured == evidence.model
    sentence = (
        "The measured model is the one to be registered."
        if same
        else "The measured model is not the one to be registered; measure again."
    )
    return statement("model", same, sentence)


def _same_dataset(evidence: Evidence) -> Rule:
    same = bool(evidence.dataset) and evidence.trained_on == evidence.dataset
    trained = evidence.trained_on[:16] if evidence.trained_on else "an unknown data set"
    sentence = (
        "The model was trained on the data set that this execution prepared."
        if same
        else f"The model was trained on {trained}, prepared was {(evidence.dataset or 'an unknown one')[:16]}: "
        "test images may be among those it was trained on; train again."
    )
    return statement("dataset", same, sentence)


def _metric_rules(evidence: Evidence, policy: GatePolicy, map_threshold: float) -> Iterator[Rule]:
    required = {"mAP": 0.0, **policy.metrics}
    required["mAP"] = _tightened(required["mAP"], map_threshold)
    for name, lowest in required.items():
        yield floor_rule(name, lowest, evidence.metrics.get(name), f"{name} of the test set")
    for name, greatest in policy.support.interval_width.items():
        found = evidence.metrics.get(name)
        width = None if found is None or found.lower is None or found.upper is None else found.upper - found.lower
        what = f"The width of {name}'s interval, which more test images make smaller,"
        yield limit_rule(f"interval_width[{name}]", greatest, width, what, "")


def _tightened(own: float, threshold: float) -> float:
    """The stricter of two thresholds; one that is no number from 0 to 1 cannot be met."""
    if not math.isfinite(threshold) or threshold > 1:
        return 2.0
    return max(own, threshold)


def _class_rules(evidence: Evidence, policy: GatePolicy) -> Iterator[Rule]:
    for name, found in evidence.classes.items():
        lowest = {} if is_exempt(name, found.support, policy) else {**policy.every_class}
        for metric, value in policy.classes.get(name, {}).items():
            lowest[metric] = max(value, lowest.get(metric, 0.0))
        for metric, value in lowest.items():
            yield floor_rule(f"{metric}[{name}]", value, found.values.get(metric), f'{metric} of class "{name}"')
        if (asked := policy.recall.get(name)) is not None:
            what = f'Recall of class "{name}" at a precision of {asked.precision:g}'
            yield floor_rule(f"recall[{name}]", asked.recall, found.recall, what)
    if not evidence.classes:
        yield statement("classes", False, "No class was scored.")


def _slice_rules(evidence: Evidence, policy: GatePolicy) -> Iterator[Rule]:
    for name, lowest in policy.slices.items():
        found = evidence.slices.get(name)
        if found is None:
            sentence = f'The policy names a slice "{name}" that the test set does not have.'
            yield statement(f"slice[{name}]", False, sentence)
            continue
        for metric, value in lowest.items():
            yield floor_rule(f"{metric}[{name}]", value, found.get(metric), f'{metric} of the slice "{name}"')


def _serving_rules(parity: ParityEvidence | None, rule: ServingRule) -> Iterator[Rule]:
    if parity is None:
        sentence = (
            "Nothing can serve this model: it has no form that the image of the endpoint's instance type runs, beside "
            "its SavedModel; the training's log says why none was written."
        )
        yield Rule("serving.matched", "at least", rule.least_matched, UNKNOWN, False, sentence)
        return
    what = f"The share of detections in which {parity.runtime} equals the SavedModel"
    matched = share_rule("serving.matched", rule.least_matched, parity.matched, what)
    difference = _mean_ap_difference(parity, rule.greatest_difference["mAP"])
    for found in (matched, difference):
        yield found if found.passed else replace(found, sentence=_nothing_serves(found.sentence))


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


def _resource_rules(found: ResourceEvidence, rule: ServingRule) -> Iterator[Rule]:
    for name, what, unit in (
        ("latency_p99_milliseconds", "The time in which 99 of 100 answers were given", " ms"),
        ("resident_megabytes", "The memory of the server", " MB"),
        ("artifact_megabytes", "The size of model.tar.gz", " MB"),
    ):
        greatest = getattr(rule, name)
        if greatest is not None:
            yield limit_rule(f"serving.{name}", greatest, getattr(found, name), what, unit)
