# SPDX-License-Identifier: Apache-2.0
"""The charts of the evaluation's report, with the keys of their lines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training_src.evaluation.calibration import Calibration
from training_src.evaluation.coco import ClassMetrics
from training_src.evaluation.curves import SCORES, ScoreCurve
from training_src.evaluation.diagnosis import Diagnosis
from training_src.evaluation.matches import RECALLS
from training_src.report.charts import DASHES, SERIES, Axes, Line, line_chart, reliability

# Lines that an eye can follow; of more classes the worst are drawn.
CLASSES = 8


@dataclass(frozen=True)
class Figure:
    """A chart with its heading, and its lines for the key."""

    title: str
    chart: str
    lines: Sequence[Line] = ()


def drawn_classes(per_class: Sequence[ClassMetrics]) -> list[ClassMetrics]:
    """The classes of which curves are drawn: all, or those of the lowest AP."""
    known = [one for one in per_class if one.support]
    if len(known) <= CLASSES:
        return known
    worst = sorted(known, key=lambda one: (one.values["AP"] or 0.0, one.id))[:CLASSES]
    return [one for one in known if one in worst]


def precision_recall(drawn: Sequence[ClassMetrics], colours: Mapping[int, str]) -> list[Figure]:
    """At IoU 0.5, and averaged over the ten thresholds; colours by label-map id."""
    found = []
    for title, attribute in (("IoU 0.50", "precision_50"), ("mean of IoU 0.50 to 0.95", "precision")):
        lines = [
            _line(one, at, list(zip(RECALLS.tolist(), getattr(one, attribute).tolist(), strict=True)), colours)
            for at, one in enumerate(drawn)
            if len(getattr(one, attribute))
        ]
        axes = Axes(
            f"Precision over recall, {title}", "recall", "precision", (0.0, 1.0), (0.0, 1.0), _areas(lines, "a mean of")
        )
        found.append(Figure(f"Precision over recall, {title}", line_chart(lines, axes), lines))
    return found


def over_score(found: Diagnosis, drawn: Sequence[ClassMetrics], colours: Mapping[int, str]) -> list[Figure]:
    """Precision, recall and F1 of all classes, and F1 of each class, over the score."""
    curve, mark = found.curve, (found.score, f"the served score, {found.score:.2f}")
    kinds: Mapping[str, Any] = {"precision": curve.precision, "recall": curve.recall, "F1": curve.f1}
    lines = [
        Line(name, _points(values), SERIES[at], dash=DASHES[at]) for at, (name, values) in enumerate(kinds.items())
    ]
    title = "Precision, recall and F1 over the score, all classes"
    at = round(found.score * 100)
    told = ", ".join(f"{name} {values[at]:.2f}" for name, values in kinds.items() if math.isfinite(values[at]))
    axes = Axes(title, "score", "", (0.0, 1.0), (0.0, 1.0), f"At the served score {found.score:.2f}: {told}.", mark)
    figures = [Figure(title, line_chart(lines, axes), lines)]
    by_class = [
        _line(one, at, _points(found.classes[one.id].curve.f1), colours)
        for at, one in enumerate(drawn)
        if one.id in found.classes
    ]
    best = ", ".join(f"{name} {value:.2f} at {score:.2f}" for name, score, value in _best(found, drawn))
    axes = Axes("F1 over the score, by class", "score", "F1", (0.0, 1.0), (0.0, 1.0), f"Greatest: {best}.", mark)
    return [*figures, Figure("F1 over the score, by class", line_chart(by_class, axes), by_class)]


def calibration_figure(found: Calibration) -> Figure:
    """The reliability diagram."""
    bins = [
        (one.lower, one.upper, one.precision, f"score {one.lower:.1f} to {one.upper:.1f}: {one.count} detections")
        for one in found.bins
    ]
    told = ", ".join(f"{one.score:.2f} {one.precision:.2f}" for one in found.bins if one.count)
    title = "Reliability: how often detections of a score are right"
    axes = Axes(title, "score", "share that is right", description=f"Mean score and share right: {told or 'none'}.")
    return Figure(title, reliability(axes, bins))


def training(history: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """Loss, learning rate and validation mAP over steps; those that the history knows."""
    found = []
    kinds: list[tuple[str, str, tuple[str, ...], tuple[float, float] | None]] = [
        ("Training loss", "loss", ("loss", "classification_loss", "localization_loss"), None),
        ("Learning rate", "", ("learning_rate",), None),
        ("Validation mAP", "validation mAP", ("mAP", "mAP_50"), (0.0, 1.0)),
    ]
    for title, y, names, y_range in kinds:
        lines = [
            Line(name, points, SERIES[at], marked=y_range is not None, dash=DASHES[at])
            for at, name in enumerate(names)
            if (points := _recorded(history, name))
        ]
        if lines:
            told = ", ".join(f"{line.name} ends at {line.points[-1][1]:.3g}" for line in lines)
            axes = Axes(title, "step", y, y_range=y_range, description=f"{told}.")
            found.append(Figure(title, line_chart(lines, axes), lines))
    return found


def _line(one: ClassMetrics, at: int, points: list[tuple[float, float]], colours: Mapping[int, str]) -> Line:
    """The curve of a class: its colour, brought nearer to the ink's, and dashes that no other of those drawn has."""
    return Line(
        one.name, points, f"color-mix(in srgb, {colours[one.id]} 72%, var(--ink))", dash=DASHES[at % len(DASHES)]
    )


def _areas(lines: Sequence[Line], what: str) -> str:
    means = [f"{line.name} {sum(y for _, y in line.points) / max(len(line.points), 1):.3f}" for line in lines]
    return f"Each line has {what}: {', '.join(means)}." if means else ""


def _best(found: Diagnosis, drawn: Sequence[ClassMetrics]) -> list[tuple[str, float, float]]:
    told = []
    for one in drawn:
        curve: ScoreCurve = found.classes[one.id].curve
        values = [(value, -score) for score, value in _points(curve.f1)]
        if values:
            value, score = max(values)
            told.append((one.name, -score, value))
    return told


def _points(values: Any) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(SCORES.tolist(), values.tolist(), strict=True) if math.isfinite(y)]


def _recorded(history: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [
        (float(entry["step"]), float(entry[name]))
        for entry in history
        if isinstance(entry.get("step"), int | float) and isinstance(entry.get(name), int | float)
    ]
