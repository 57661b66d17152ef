# SPDX-License-Identifier: Apache-2.0
"""What a model card says in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .metric_groups import interval, is_number

_LISTED = 20


def purpose(evaluation: Mapping[str, Any]) -> str:
    """What such a model does, where its author did not say what it is for."""
    names = list(evaluation.get("per_class", {}))
    classes = f"{len(names)} classes: {_listed(names)}" if len(names) != 1 else f"one class: {names[0]}"
    return f"Finds objects in pictures and draws a box around each, of {classes}."


def intended_uses(dataset: Mapping[str, Any]) -> Iterator[str]:
    """For which pictures the numbers speak."""
    splits = dataset.get("splits") or {}
    counted = ", ".join(f"{split.get('images')} for {name}" for name, split in splits.items())
    yield f"Pictures like those of its data set: {dataset.get('images', 'an unknown number of')} images" + (
        f" ({counted})." if counted else "."
    )
    yield "Nothing was measured on other pictures, cameras or classes."


def weaknesses(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Where it is weakest, and how little the test set says."""
    per_class = evaluation.get("per_class", {})
    for name in weakest_classes(evaluation)[:3]:
        one = per_class[name]
        yield f"{name}: {_told('AP', one['AP'])}, {one.get('support')} boxes in the test set{_missed(one)}."
    slices = {
        name: one["metrics"]["mAP"]
        for name, one in (evaluation.get("slices") or {}).items()
        if is_number(one.get("metrics", {}).get("mAP", {}).get("value"))
    }
    for name in sorted(slices, key=lambda name: slices[name]["value"])[:2]:
        yield f"Slice {name}: {_told('mAP', slices[name])}."
    for metric in ("mAP_small", "mAP_medium", "mAP_large"):
        estimate = evaluation.get("metrics", {}).get(metric)
        if estimate and is_number(estimate.get("value")):
            yield f"{_told(metric, estimate)}."


def training(evaluation: Mapping[str, Any], dataset: Mapping[str, Any]) -> Iterator[str]:
    """How it was trained, on what."""
    model = evaluation["model"]
    yield f"Architecture {model.get('architecture', 'unknown')}."
    if is_number(model.get("steps")):
        best = f", the best at step {model['best_step']}" if is_number(model.get("best_step")) else ""
        yield f"{model['steps']} steps{best}."
    train = (dataset.get("splits") or {}).get("train") or {}
    yield f"Data set sha256 {dataset.get('sha256')}: {train.get('images')} training images, {train.get('boxes')} boxes."
    yield from changes(evaluation)


def changes(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """What differs from the champion's training."""
    for change in evaluation["model"].get("changes") or []:
        before, after = change.get("champion"), change.get("challenger")
        yield f"{str(change.get('what', 'setting')).capitalize()} {change.get('name')}: {before} before, {after} now."


def verdict(evaluation: Mapping[str, Any], *, told: int) -> Iterator[str]:
    """The gate's sentence, how good and how sure, and what test set says so.

    Args:
        evaluation: evaluation.json.
        told: How many classes the card tells one by one.
    """
    gate, scored = evaluation["gate"], evaluation["dataset"]
    yield f"Gate {'passed' if gate['passed'] is True else 'failed'}: {gate['sentence']}"
    metrics = evaluation.get("metrics", {})
    yield f"{_told('mAP', metrics.get('mAP') or {})}; {_told('mAP_50', metrics.get('mAP_50') or {})}."
    yield f"{scored.get('images')} test images with {scored.get('boxes')} boxes."
    if scored.get("chosen_by") == "execution":
        yield f"The execution chose its own test set{_overlap(scored)}."
    elif scored.get("chosen_by") == "environment":
        yield "The environment's policy named the test set."
    smallest = ((evaluation.get("resolution") or {}).get("smallest_difference") or {}).get("mAP")
    if is_number(smallest):
        needed = ((evaluation.get("resolution") or {}).get("images_needed") or {}).get("mAP")
        enough = f"; a difference of the champion rule's margin needs about {needed}" if is_number(needed) else ""
        yield f"The smallest difference of mAP that these images can show is {smallest:.3f}{enough}."
    every = len(evaluation.get("per_class", {}))
    if told < every:
        yield f"The {told} weakest of {every} classes are told one by one; the report has all."


def comparison(other: Mapping[str, Any]) -> Iterator[str]:
    """What became better or worse, and by how much."""
    if other.get("waiver"):
        yield f"Not compared, by an administrator's waiver: {other['waiver']}."
    if other.get("reason"):
        yield f"Not measured: {other['reason']}."
    for name, change in (other.get("change") or {}).items():
        if is_number(change.get("value")):
            yield (
                f"{name} {change['value']:+.3f} ({interval(change)})."
                if interval(change)
                else (f"{name} {change['value']:+.3f}.")
            )
    yield from worse(other)
    classes = other.get("classes") or {}
    for kind in ("new", "missing"):
        if classes.get(kind):
            yield f"{kind.capitalize()} classes: {_listed(classes[kind])}."
    for theirs, ours in classes.get("renamed") or []:
        yield f"{theirs} is called {ours} now."


def worse(other: Mapping[str, Any]) -> Iterator[str]:
    """The classes whose AP fell, the greatest fall first; sure ones are told as such."""
    fallen = {
        name: change
        for name, change in (other.get("per_class_change") or {}).items()
        if is_number(change.get("value")) and change["value"] < 0
    }
    for name in sorted(fallen, key=lambda name: fallen[name]["value"]):
        change = fallen[name]
        surely = (
            " (its whole 90 % interval is below 0)" if is_number(change.get("upper")) and change["upper"] < 0 else ""
        )
        yield f"Worse at {name}: AP {change['value']:+.3f}{surely}."


def caveats(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """What an approver should know before they approve."""
    for rule in evaluation["gate"].get("rules", []):
        if rule["passed"] is not True:
            yield f"Failed: {rule.get('sentence', rule['rule'])}"
    champion = evaluation.get("champion")
    if champion:
        if champion.get("waiver"):
            yield f"The comparison with what served was waived: {champion['waiver']}."
        yield from worse(champion)
    else:
        yield "Nothing served when it was evaluated, so it was compared with nothing."
    policy = evaluation.get("policy") or {}
    yield from (f"Overruled: {sentence}" for sentence in policy.get("overruled") or [])
    yield from (f"Not asked: {sentence}" for sentence in policy.get("left_out") or [])
    scored = evaluation["dataset"]
    if left_out := (scored.get("left_out") or {}).get("images"):
        yield f"{left_out} test images were left out, since a model had been trained on them."
    if unknown := scored.get("unknown_ancestors"):
        yield f"What these ancestors were trained on is unknown: {_listed(unknown)}."
    if scored.get("refused"):
        yield f"The server refused {len(scored['refused'])} test images; they count as without detections."


def weakest_classes(evaluation: Mapping[str, Any]) -> list[str]:
    """The classes by AP, the lowest first; those without one last."""

    def rank(name: str) -> tuple[bool, float]:
        value = evaluation["per_class"][name].get("AP", {}).get("value")
        return (not is_number(value), value if is_number(value) else 0.0)

    return sorted(evaluation.get("per_class", {}), key=rank)


def _told(name: str, estimate: Mapping[str, Any]) -> str:
    value = estimate.get("value")
    if not is_number(value):
        return f"{name} unknown" + (f" ({estimate['reason']})" if estimate.get("reason") else "")
    sure = interval(estimate)
    return f"{name} {value:.3f}" + (f" ({sure})" if sure else "")


def _missed(one: Mapping[str, Any]) -> str:
    missed = one.get("missed")
    share = missed.get("share") if isinstance(missed, Mapping) else None
    return f", {share:.0%} of them missed at the served score" if is_number(share) else ""


def _overlap(scored: Mapping[str, Any]) -> str:
    overlap = scored.get("overlap_with_champion")
    if not overlap:
        return ""
    return f"; {overlap.get('images')} of its images were in the champion's test, too"


def _listed(names: list[str]) -> str:
    further = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {further} more" if further > 0 else "")
