# SPDX-License-Identifier: Apache-2.0
"""What an approver decides by, as rows of the report's first screen: every number of it stands in evaluation.json."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from training_src.evaluation.diagnosis import Diagnosis
from training_src.evaluation.schema import Change, Compared, Difference, Estimate, Evaluation, RuleResult

# As many as an eye takes in; the rest is a click away.
SHOWN = 6
SERVES = "Serves now"
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Compare:
    """A number of both models, and what became of it.

    Attributes:
        name: Of the metric or class.
        ours, theirs: Estimates; None where only the difference is known.
        change: Challenger minus the other.
        word: Whether the difference can be told from chance, in words.
        kind: `worse`, `better` or `same`, for its colour.
    """

    name: str
    ours: Estimate | None
    theirs: Estimate | None
    change: Change
    word: str
    kind: str


@dataclass(frozen=True)
class Beside:
    """Another model beside this one.

    Attributes:
        title: `Serves now`, or `The best that ever served`.
        name: Of its version; "" where it is not known.
        model: What evaluation.json says of it.
        metrics: Those that were compared, over the classes that both have.
        classes: AP of each class that both have, what fell most first.
        reach: The greatest bound of any interval, which gives all of them one scale; never 0.
    """

    title: str
    name: str
    model: Compared
    metrics: tuple[Compare, ...]
    classes: tuple[Compare, ...]
    reach: float

    @property
    def serves(self) -> bool:
        """Whether it is what serves now."""
        return self.title == SERVES

    @property
    def surely_worse(self) -> int:
        """How many metrics after the first two fell by more than chance explains."""
        return sum(one.kind == "worse" for one in self.metrics[2:])

    @property
    def worse(self) -> tuple[Compare, ...]:
        """Classes whose AP fell, whether by chance or not."""
        return tuple(one for one in self.classes if one.change.value is not None and one.change.value < 0)


@dataclass(frozen=True)
class MissedClass:
    """How often a class is missed at the served score."""

    name: str
    count: int
    support: int

    @property
    def share(self) -> float:
        return self.count / self.support if self.support else 0.0


@dataclass(frozen=True)
class FirstScreen:
    """All of it.

    Attributes:
        failed, passed: Rules of the gate.
        beside: The champion, and the best that ever served.
        missed: The most missed class first; only classes that have boxes.
        changes: What is otherwise than in the champion.
        policy: Name and sentences of who asked for what, and of what the test set is.
    """

    failed: tuple[RuleResult, ...]
    passed: tuple[RuleResult, ...]
    beside: tuple[Beside, ...]
    missed: tuple[MissedClass, ...]
    changes: tuple[Difference, ...]
    policy: tuple[tuple[str, tuple[str, ...]], ...]


def first_screen(evaluation: Evaluation, diagnosis: Diagnosis) -> FirstScreen:
    """The rows of the first screen."""
    rules = evaluation.gate.rules
    others = ((SERVES, evaluation.champion), ("The best that ever served", evaluation.best))
    return FirstScreen(
        failed=tuple(rule for rule in rules if not rule.passed),
        passed=tuple(rule for rule in rules if rule.passed),
        beside=tuple(_beside(title, other, evaluation) for title, other in others if other is not None),
        missed=tuple(sorted(_missed(evaluation, diagnosis), key=lambda one: (-one.share, one.name))),
        changes=tuple(evaluation.model.changes),
        policy=tuple((name, tuple(said)) for name, said in _policy(evaluation) if said),
    )


def version_of(arn: str | None) -> str:
    """A model package by the name that people know: `version 3`; "" where the ARN is not known."""
    number = (arn or "").rpartition("/")[2]
    return f"version {number}" if number.isdecimal() else (arn or "")


def _beside(title: str, other: Compared, evaluation: Evaluation) -> Beside:
    judged = _judged(evaluation.gate.rules, "" if title == SERVES else "best.")
    metrics = [
        Compare(name, evaluation.metrics.get(name), other.metrics.get(name), change, *_said(change, judged.get(name)))
        for name, change in other.change.items()
    ]
    classes = [
        Compare(name, None, None, change, *_said(change, judged.get(name)))
        for name, change in other.per_class_change.items()
    ]
    classes.sort(key=lambda one: (one.change.value is None, one.change.value or 0.0, one.name))
    bounds = [
        abs(bound)
        for one in (*metrics, *classes)
        for bound in (one.change.value, one.change.lower, one.change.upper)
        if bound is not None
    ]
    return Beside(title, version_of(other.arn), other, tuple(metrics), tuple(classes), max(bounds, default=0.0) or 1.0)


def _judged(rules: Sequence[RuleResult], prefix: str) -> dict[str, bool]:
    """By metric or class, whether the gate's own test of significance is passed, which reckons with many classes."""
    start = f"{prefix}significance["
    return {rule.rule[len(start) : -1]: rule.passed for rule in rules if rule.rule.startswith(start)}


def _said(change: Change, judged: bool | None) -> tuple[str, str]:
    """Whether a change can be told from chance, in words, and its kind."""
    if change.value is None:
        return "unknown", "same"
    if change.lower is None or change.upper is None:
        word = "worse" if change.value < 0 else "better" if change.value > 0 else "equal"
        return word, "same" if word == "equal" else word
    if judged is False or change.upper < 0:
        return ("likely worse" if judged else "surely worse"), "worse"
    if change.lower > 0:
        return "surely better", "better"
    return ("equal" if change.value == 0 else "may be chance"), "same"


def _missed(evaluation: Evaluation, diagnosis: Diagnosis) -> Iterator[MissedClass]:
    """By evaluation.json, or where it does not say it, by the curve at the served score."""
    for name, one in evaluation.per_class.items():
        if not one.support:
            continue
        if one.missed is not None:
            yield MissedClass(name, one.missed.count, one.support)
        elif (counts := diagnosis.missed.get(one.id)) is not None:
            yield MissedClass(name, counts, one.support)


def _policy(evaluation: Evaluation) -> Iterator[tuple[str, list[str]]]:
    policy, dataset = evaluation.policy, evaluation.dataset
    yield "The environment's floor", [_file(policy.floor.uri, policy.floor.sha256)]
    run = [_file(policy.run.uri, policy.run.sha256)] if policy.run else []
    run += [f"MapThreshold asks for an mAP of at least {policy.map_threshold:g}"] if policy.map_threshold else []
    yield "Tightened by this execution", run or ["no"]
    yield "Overruled", policy.overruled
    yield "Not asked", policy.left_out
    waivers = [one.waiver for one in (evaluation.champion, evaluation.best) if one is not None and one.waiver]
    yield "Waived by an administrator", waivers
    yield "Test set", list(_test_set(evaluation))
    yield "Left out of the test", list(_left_out(evaluation))
    yield "Ancestors of which nobody knows the images", dataset.unknown_ancestors
    yield "What this test can show", list(_resolution(evaluation))


def _file(uri: str | None, sha256: str) -> str:
    return f"sha256 {sha256[:12]}" + (f", {uri}" if uri else "")


def _test_set(evaluation: Evaluation) -> Iterator[str]:
    dataset = evaluation.dataset
    chosen = "chosen by the environment" if dataset.chosen_by == "environment" else "chosen by this execution itself"
    groups = f" in {dataset.groups:,} groups" if dataset.groups else ""
    yield f"{chosen}: {dataset.images:,} images{groups} with {dataset.boxes:,} boxes, {dataset.test_set[:12]}"
    overlap = dataset.overlap_with_champion
    if overlap is not None:
        yield f"{overlap.images:,} of them ({100 * overlap.share:.0f} %) were in the champion's own test"
    elif evaluation.champion is not None:
        yield "how many of them were in the champion's own test is not known"


def _left_out(evaluation: Evaluation) -> Iterator[str]:
    left = evaluation.dataset.left_out
    if left.images:
        by = ", ".join(f"{who} {count:,}" for who, count in left.by.items() if count)
        yield f"{left.images:,} images of {left.groups:,} groups that a compared model has learnt from" + (
            f" ({by})" if by else ""
        )


def _resolution(evaluation: Evaluation) -> Iterator[str]:
    needed = evaluation.resolution.images_needed
    for name, value in evaluation.resolution.smallest_difference.items():
        more = f"; {needed[name]:,} images would show the fall that the policy allows" if name in needed else ""
        yield f"a fall of {value:.3f} in {name} or more, in 8 of 10 cases{more}"


def shown(value: Any) -> str:
    """A value of a difference in a line; digests are cut, which whole stand in evaluation.json."""
    if value is None:
        return "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text[:12] if len(text) == 64 and not set(text) - set("0123456789abcdef") else text


def short(name: str) -> str:
    """The end of a long path, which says what it is; whole it stands in evaluation.json."""
    return name if len(name) <= _LONGEST_NAME else ".".join(name.split(".")[-2:])


def split(rows: Sequence[Any], most: int = SHOWN) -> tuple[Sequence[Any], Sequence[Any]]:
    """What is shown at once, and what is a click away; a single row is not worth a click."""
    return (rows, ()) if len(rows) <= most + 1 else (rows[:most], rows[most:])
