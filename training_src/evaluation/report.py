# SPDX-License-Identifier: Apache-2.0
"""report.html: one file that shows what was measured, judged and seen; it loads nothing from anywhere."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from training_src.evaluation.assembly import Dossier
from training_src.evaluation.charts import Axes, Line, line_chart
from training_src.evaluation.coco import RECALLS, ConfusionMatrix
from training_src.evaluation.pictures import colours
from training_src.evaluation.schema import Evaluation

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
# Lists in dataset.json that are longer than this are for machines.
_LONGEST_FACT = 12


def render(dossier: Dossier) -> str:
    """The page's HTML."""
    environment = Environment(
        loader=PackageLoader("training_src.evaluation"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["number"] = _number
    environment.filters["data_uri"] = _data_uri
    evaluation = dossier.evaluation
    return environment.get_template("report.html.j2").render(
        evaluation=evaluation,
        splits=_splits(dossier.source.facts),
        facts=_facts(dossier.source.facts),
        metrics=[(*_METRIC_TITLES[name], estimate) for name, estimate in evaluation.metrics.items()],
        class_colours={one.name: colour for one, colour in _class_colours(dossier)},
        precision_recall=_precision_recall(dossier),
        confusion=_confusion(dossier.metrics.confusion),
        training=_training_charts(dossier.source.artifact.history),
        galleries=dossier.galleries,
        provenance=_provenance(dossier),
        serving_rows=_serving_rows(evaluation),
    )


def _class_colours(dossier: Dossier) -> list[tuple[Any, str]]:
    by_id = colours({one.id: one.name for one in dossier.metrics.per_class})
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


def _training_charts(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Loss, learning rate and validation mAP over steps; those that the history knows."""
    charts = []
    losses = [name for name in ("loss", "classification_loss", "localization_loss") if _points(history, name)]
    palette = ("var(--line-1)", "var(--line-2)", "var(--line-3)")
    kinds = [
        ("loss", losses, "Training loss"),
        ("learning rate", ["learning_rate"], "Learning rate"),
        ("validation mAP", ["mAP", "mAP_50"], "Validation mAP"),
    ]
    for y, names, title in kinds:
        lines = [
            Line(name, _points(history, name), colour, marked=y == "validation mAP")
            for name, colour in zip(names, palette, strict=False)
            if _points(history, name)
        ]
        if lines:
            legend = "".join(_key(line) for line in lines)
            y_range = (0.0, 1.0) if y == "validation mAP" else None
            chart = line_chart(lines, Axes(title, "step", y, y_range=y_range))
            charts.append(f"<h3>{title}</h3>{chart}<p class=legend>{legend}</p>")
    return charts


def _key(line: Line) -> str:
    name = line.name if line.marked else line.name.replace("_", " ")
    return f'<span class="key"><i style="background:{line.colour}"></i>{name}</span>'


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
         "serves": name == evaluation.serving.runtime}
        for name in sorted(speeds, key=lambda name: -speeds[name])
    ]  # fmt: skip


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


def _facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The other short facts of dataset.json; its long lists and tables are left to the file."""
    rows: list[tuple[str, str]] = []
    for name, value in facts.items():
        if name in ("schema_version", "splits", "groups", "classes"):
            continue
        entries = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
        if entries is None:
            text = _fact(value)
        elif len(value) > _LONGEST_FACT:
            text = f"{len(value)} entries"
        else:
            text = ", ".join(_fact(one) if isinstance(key, int) else f"{key} {_fact(one)}" for key, one in entries)
        rows.append((name.replace("_", " "), text or "none"))
    return rows


def _fact(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "unknown" if value is None else str(value)


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
    return rows + [(f"Training: {name.replace('_', ' ')}", _fact(value)) for name, value in training.items()]


def _number(value: float | None, digits: int = 3) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
