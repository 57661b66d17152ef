# SPDX-License-Identifier: Apache-2.0
"""An evaluation's numbers as the metric groups of a model card, which Studio lists and draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from .limits import LABEL, NAME, NOTE, within

Group = dict[str, Any]
_RULES = 30
_OF_A_CLASS = ("AP", "AP50", "recall_at_threshold", "precision_at_threshold")


def metric_groups(evaluation: Mapping[str, Any], classes: list[str]) -> list[Group]:
    """Return the groups of what was measured.

    Args:
        evaluation: evaluation.json.
        classes: The classes that are told one by one, in this order; of the gate's rules about as many.
    """
    groups = [
        _group("COCO metrics", _estimates(evaluation.get("metrics", {}))),
        _group("Average precision of each class", _classes(evaluation, classes)),
        _group("Slices of the test set", _slices(evaluation.get("slices") or {})),
        _group("Rules of the gate", _rules(evaluation["gate"].get("rules", []), len(classes))),
        _group("Serving", _serving(evaluation)),
    ]
    return [group for group in groups if group["metric_data"]]


def comparison_groups(other: Mapping[str, Any], classes: list[str]) -> list[Group]:
    """Return the groups of a comparison with the champion, or with the best version that ever served."""
    change = {f"{name}, change": estimate for name, estimate in (other.get("change") or {}).items()}
    per_class = other.get("per_class_change") or {}
    chosen = {f"{name}: AP, change": per_class[name] for name in classes if name in per_class}
    groups = [
        _group("Metrics of the other version", _estimates(other.get("metrics") or {})),
        _group("Change on the same images", _estimates(change)),
        _group("Change of each class", _estimates(chosen)),
    ]
    return [group for group in groups if group["metric_data"]]


def interval(estimate: Mapping[str, Any]) -> str:
    """Return how sure a number is, in words; nothing where nobody knows."""
    lower, upper = estimate.get("lower"), estimate.get("upper")
    if is_number(lower) and is_number(upper):
        return f"90 % interval {lower:.3f} to {upper:.3f}"
    deviation = estimate.get("standard_deviation")
    return f"standard deviation {deviation:.3f}" if is_number(deviation) else ""


def is_number(value: object) -> bool:
    """Whether a value can stand in JSON as a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _group(name: str, data: Iterator[dict[str, Any]]) -> Group:
    return {"name": within(name, LABEL), "metric_data": list(data)}


def _estimates(estimates: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, estimate in estimates.items():
        better = estimate.get("probability_better")
        likely = f"probability of being better {better:.2f}" if is_number(better) else ""
        yield _simple(name, estimate.get("value"), interval(estimate), likely, estimate.get("reason"))


def _classes(evaluation: Mapping[str, Any], classes: list[str]) -> Iterator[dict[str, Any]]:
    per_class: Mapping[str, Any] = evaluation.get("per_class", {})
    known = [name for name in classes if is_number(per_class[name].get("AP", {}).get("value"))]
    if known:
        yield {
            "name": "AP by class",
            "type": "bar_chart",
            "value": [per_class[name]["AP"]["value"] for name in known],
            "x_axis_name": [within(name, LABEL) for name in known],
            "y_axis_name": "average precision, IoU 0.50 to 0.95",
        }
    for name in classes:
        one = per_class[name]
        support = f"{one.get('support')} boxes in {one.get('support_images')} test images"
        for metric in _OF_A_CLASS:
            if metric in one:
                estimate = one[metric] if isinstance(one[metric], Mapping) else {"value": one[metric]}
                yield _simple(
                    f"{name}: {metric}", estimate.get("value"), interval(estimate), support, estimate.get("reason")
                )


def _slices(slices: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, one in slices.items():
        estimate = one.get("metrics", {}).get("mAP", {})
        support = f"{one.get('images')} images, {one.get('boxes')} boxes"
        yield _simple(f"{name}: mAP", estimate.get("value"), interval(estimate), support, estimate.get("reason"))


def _rules(rules: list[Mapping[str, Any]], most: int) -> Iterator[dict[str, Any]]:
    """The failed ones first, and of many as many as classes are told besides the usual ones."""
    for rule in sorted(rules, key=lambda rule: rule["passed"] is True)[: _RULES + most]:
        told = {"name": within(rule["rule"], NAME), "type": "boolean", "value": rule["passed"] is True}
        yield told | {"notes": within(rule.get("sentence", ""), NOTE)}


def _serving(evaluation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    serving = evaluation["serving"]
    for name in ("runtime", "precision"):
        yield {"name": name, "type": "string", "value": within(serving.get(name), LABEL)}
    chosen = serving.get("runtimes", {}).get(serving.get("runtime"), {})
    untimed = chosen.get("untimed")
    yield _simple("images per second", chosen.get("images_per_second"), untimed)
    resources = evaluation.get("resources") or {}
    for name, value in resources.items():
        if is_number(value):
            yield _simple(name.replace("_", " "), value)
    for name, value in (resources.get("latency_milliseconds") or {}).items():
        yield _simple(f"latency {name}, ms", value)


def _simple(name: str, value: object, *notes: object) -> dict[str, Any]:
    """A number; one that nobody knows is the word, since the schema takes no null."""
    known: dict[str, Any] = {"type": "number", "value": value} if is_number(value) else {}
    told = {"name": within(name, NAME), **(known or {"type": "string", "value": "unknown"})}
    text = "; ".join(str(note) for note in notes if note)
    return {**told, "notes": within(text, NOTE)} if text else told
