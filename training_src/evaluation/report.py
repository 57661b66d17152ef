# SPDX-License-Identifier: Apache-2.0
"""report.html: one file that shows what was measured, judged and seen; it loads nothing from anywhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from training_src.drawing import colours
from training_src.evaluation.assembly import Dossier
from training_src.evaluation.coco import ConfusionMatrix
from training_src.evaluation.matches import RECALLS
from training_src.evaluation.schema import Evaluation
from training_src.report.charts import SERIES, Axes, Line, line_chart
from training_src.report.page import data_uri, fact, facts, render_page

_METRIC_TITLES = {
    "mAP": ("mAP", "IoU 0.50 to 0.95"),
    "mAP_50": ("mAP at 0.50", "IoU 0.50"),
    "mAP_75": ("mAP at 0.75", "IoU 0.75"),
    "mAP_small": ("mAP, small", "below 32² pixels"),
    "mAP_medium": ("mAP, medium", "32² to 96² pixels"),
    "mAP_large": ("mAP, large", "above 96² pixels"),
    "AR_1": ("Recall, 1", "1 detection an image"),
    "AR_10": ("Recall, 10", "10 detections an image"),
    "AR_100": ("Recall, 100", "100 detections an image"),
    "AR_small": ("Recall, small", "below 32² pixels"),
    "AR_medium": ("Recall, medium", "32² to 96² pixels"),
    "AR_large": ("Recall, large", "above 96² pixels"),
}
# Facts of dataset.json that have a place of their own on the page.
_SHOWN_ELSEWHERE = frozenset({"schema_version", "splits", "groups", "classes"})


def render(dossier: Dossier) -> str:
    """The page's HTML."""
    evaluation = dossier.evaluation
    return render_page(
        "training_src.evaluation",
        evaluation=evaluation,
        splits=_splits(dossier.source.facts),
        facts=facts(dossier.source.facts, _SHOWN_ELSEWHERE),
        metrics=[(*_METRIC_TITLES[name], estimate) for name, estimate in evaluation.metrics.items()],
        class_colours={one.name: colour for one, colour in _class_colours(dossier)},
        precision_recall=_precision_recall(dossier),
        confusion=_confusion(dossier.metrics.confusion),
        training=_training_charts(dossier.source.artifact.history),
        galleries=dossier.galleries,
        data_uri=data_uri,
        provenance=_provenance(dossier),
        serving_rows=_serving_rows(evaluation),
    )


def _class_colours(dossier: Dossier) -> list[tuple[Any, str]]:
    by_id = colours(one.id for one in dossier.metrics.per_class)
    return [(one, by_id[one.id]) for one in dossier.metrics.per_class]


def _precision_recall(dossier: Dossier) -> list[str]:
    """Two charts: at IoU 0.5, and averaged over the ten thresholds."""
    found = []
    for title, attribute in (("IoU 0.50", "precision_50"), ("mean of IoU 0.50 to 0.95", "precision")):
        lines = [
            Line(one.name, list(zip(RECALLS.tolist(), getattr(one, attribute).tolist(), strict=True)), colour)
            for one, colour in _class_colours(dossier)
            if len(getattr(one, attribute))
        ]
        axes = Axes(f"Precision over recall, {title}", "recall", f"precision ({title})", (0.0, 1.0), (0.0, 1.0))
        found.append(line_chart(lines, axes))
    return found


def _confusion(matrix: ConfusionMatrix) -> dict[str, Any]:
    """Rows of cells, each with its count and share: of the true class's boxes, in the last row of the detections."""
    rows = []
    last = len(matrix.names)
    detected = matrix.counts.sum(axis=0)
    for at, counts in enumerate(matrix.counts.tolist()):
        totals = [sum(counts)] * (last + 1) if at < last else detected.tolist()
        cells = [
            {"count": count, "share": count / total if total else 0.0, "right": at == column}
            for column, (count, total) in enumerate(zip(counts, totals, strict=True))
        ]
        rows.append({"name": matrix.names[at] if at < last else "nothing there", "cells": cells})
    return {"names": [*matrix.names, "missed"], "rows": rows, "score": matrix.score}


def _training_charts(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, list[Line]]]:
    """Title, chart and lines of loss, learning rate and validation mAP over steps; those that the history knows."""
    charts = []
    kinds: list[tuple[str, str, tuple[str, ...], tuple[float, float] | None]] = [
        ("Training loss", "loss", ("loss", "classification_loss", "localization_loss"), None),
        ("Learning rate", "", ("learning_rate",), None),
        ("Validation mAP", "validation mAP", ("mAP", "mAP_50"), (0.0, 1.0)),
    ]
    for title, y, names, y_range in kinds:
        lines = [
            Line(name, points, colour, marked=y_range is not None)
            for name, colour in zip(names, SERIES, strict=False)
            if (points := _points(history, name))
        ]
        if lines:
            charts.append((title, line_chart(lines, Axes(title, "step", y, y_range=y_range)), lines))
    return charts


def _points(history: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [
        (float(entry["step"]), float(entry[name]))
        for entry in history
        if isinstance(entry.get("step"), int | float) and isinstance(entry.get(name), int | float)
    ]


def _serving_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Runtimes, the fastest first, with their speed as a share of the fastest's."""
    speeds = {name: one.images_per_second or 0.0 for name, one in evaluation.serving.runtimes.items()}
    fastest = max(speeds.values(), default=0.0) or 1.0
    return [
        {"name": name, "result": evaluation.serving.runtimes[name], "share": speeds[name] / fastest,
         "serves": name == evaluation.serving.runtime and _is_equal(evaluation)}
        for name in sorted(speeds, key=lambda name: -speeds[name])
    ]  # fmt: skip


def _is_equal(evaluation: Evaluation) -> bool:
    """Whether what was scored may serve; where no runtime may, the fastest is scored all the same."""
    return evaluation.serving.parity is not None and evaluation.serving.parity.equal


def _splits(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of counts a split; None where dataset.json does not have them."""
    splits = facts.get("splits")
    if not isinstance(splits, Mapping) or not splits:
        return None
    classes = list(dict.fromkeys(name for one in splits.values() for name in one.get("boxes_per_class") or {}))
    rows = []
    for name, one in splits.items():
        sizes = (one.get("box_statistics") or {}).get("coco_sizes") or {}
        counts = [one.get("images"), one.get("background_images"), one.get("boxes")]
        counts += [(one.get("boxes_per_class") or {}).get(each) for each in classes]
        counts += [sizes.get(each) for each in ("small", "medium", "large")]
        rows.append((name, ["" if count is None else count for count in counts]))
    titles = ["Images", "Without boxes", "Boxes", *classes, "small", "medium", "large"]
    return {"titles": titles, "rows": rows}


def _provenance(dossier: Dossier) -> list[tuple[str, str]]:
    model = dossier.evaluation.model
    training = dossier.source.artifact.training
    rows = [
        ("Architecture", model.architecture),
        ("Model archive", model.uri or "unknown"),
        ("SHA-256 of the archive", model.sha256),
        ("Trained on the data set", model.trained_on or "unknown"),
        ("Evaluated on the data set", dossier.evaluation.dataset.sha256),
    ]
    return rows + [(f"Training: {name.replace('_', ' ')}", fact(value)) for name, value in training.items()]
