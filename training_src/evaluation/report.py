# SPDX-License-Identifier: Apache-2.0
"""report.html: one file that shows what was judged, measured and seen; it loads nothing from anywhere.

Its first screen is what an approver decides by (`first_screen.py`). What is known only after it was written, such as
the version, has empty places on it, which `containers/evidence/page.py` fills.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training_src.drawing import colours
from training_src.errors import TextFormatError
from training_src.evaluation import figures
from training_src.evaluation.assembly import Dossier
from training_src.evaluation.coco import ConfusionMatrix
from training_src.evaluation.error_types import ErrorTypes
from training_src.evaluation.first_screen import first_screen, short, shown, split
from training_src.evaluation.schema import Evaluation
from training_src.report.page import data_uri, fact, facts, render_page
from training_src.text_format import Message, parse

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
_ERRORS = {
    "classification": "on a box of another class",
    "localisation": "on a box of its class, at IoU 0.1 to 0.5",
    "both": "near a box of another class, or badly placed on one",
    "duplicate": "on a box that is found already",
    "background": "where no box is",
    "missed": "boxes that nothing found or was meant for",
}
# Places for what is known later, by the names that `containers/evidence/page.py` fills.
SLOTS = {
    "version": "Version", "registered": "Registered", "execution": "Execution", "author": "Author",
    "purpose": "What it is for", "approval": "Approval", "serving": "Serves",
}  # fmt: skip
# Facts of dataset.json that have a place of their own on the page, or are long lists for machines.
_SHOWN_ELSEWHERE = frozenset(
    {"schema_version", "splits", "groups", "groups_files", "classes", "images", "boxes", "class_balance", "findings",
     "warnings", "notices", "box_sizes", "aspect_ratios", "brightness", "centres", "co_occurrence", "anchor_fit",
     "sha256"}
)  # fmt: skip
# Classes of a matrix that an eye can take in.
_MATRIX = 16


def render(dossier: Dossier) -> str:
    """The page's HTML."""
    evaluation, metrics = dossier.evaluation, dossier.metrics
    by_id = colours(one.id for one in metrics.per_class)
    drawn = figures.drawn_classes(metrics.per_class)
    return render_page(
        "training_src.evaluation",
        evaluation=evaluation,
        first=first_screen(evaluation, dossier.diagnosis),
        slots=SLOTS,
        made=dossier.made,
        short=short,
        shown=shown,
        split=split,
        splits=_splits(dossier.source.facts),
        facts=facts(dossier.source.facts, _SHOWN_ELSEWHERE),
        metrics=[(*_METRIC_TITLES[name], estimate) for name, estimate in evaluation.metrics.items()],
        titles={name: title for name, (title, _) in _METRIC_TITLES.items()},
        class_colours={one.name: by_id[one.id] for one in metrics.per_class},
        drawn=drawn,
        curves=[*figures.precision_recall(drawn, by_id), *figures.over_score(dossier.diagnosis, drawn, by_id)],
        confusion=_confusion(metrics.confusion),
        errors=_errors(dossier.diagnosis.errors),
        reliability=figures.calibration_figure(dossier.diagnosis.calibration),
        diagnosis=dossier.diagnosis,
        training=figures.training(dossier.source.artifact.history),
        seen=dossier.seen,
        data_uri=data_uri,
        costs=_costs(dossier),
        provenance=_provenance(dossier),
        serving_rows=_serving_rows(evaluation),
    )


def _confusion(matrix: ConfusionMatrix) -> dict[str, Any]:
    """Rows of cells, each with its count and share: of the true class's boxes, in the last row of the detections.

    Of many classes those are kept that are taken for another one or missed most; the others are one row and column.
    """
    counts, names = _of_few_classes(matrix)
    rows = []
    last = len(names)
    detected = counts.sum(axis=0)
    for at, line in enumerate(counts.tolist()):
        totals = [sum(line)] * (last + 1) if at < last else detected.tolist()
        cells = [
            {"count": count, "share": count / total if total else 0.0, "right": at == column}
            for column, (count, total) in enumerate(zip(line, totals, strict=True))
        ]
        rows.append({"name": names[at] if at < last else "nothing there", "cells": cells})
    return {"names": [*names, "missed"], "rows": rows, "score": matrix.score, "classes": len(matrix.names)}


def _of_few_classes(matrix: ConfusionMatrix) -> tuple[Any, list[str]]:
    number = len(matrix.names)
    if number <= _MATRIX:
        return matrix.counts, list(matrix.names)
    wrong = matrix.counts[:number].sum(axis=1) - matrix.counts.diagonal()[:number]
    kept = np.sort(np.argsort(-wrong, kind="stable")[: _MATRIX - 1])
    groups = np.full(number + 1, len(kept))
    groups[kept], groups[number] = np.arange(len(kept)), len(kept) + 1
    counts = np.zeros((len(kept) + 2,) * 2, np.int64)
    np.add.at(counts, (groups[:, None], groups[None, :]), matrix.counts)
    return counts, [*(matrix.names[at] for at in kept), f"{number - len(kept)} other classes"]


def _errors(found: ErrorTypes) -> list[dict[str, Any]]:
    """A row a kind, those first that cost most."""
    most = max(found.counts.values(), default=0) or 1
    rows = [
        {"name": name, "said": _ERRORS[name], "count": count, "share": count / most, "gain": found.gains[name]}
        for name, count in found.counts.items()
    ]
    return sorted(rows, key=lambda row: -(row["gain"] or 0.0))


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
    titles = ["images", "without boxes", "boxes", "small", "medium", "large"]
    rows, by_class = [], []
    for name, one in splits.items():
        sizes = (one.get("box_statistics") or {}).get("coco_sizes") or {}
        counts = [one.get("images"), one.get("background_images"), one.get("boxes")]
        counts += [sizes.get(each) for each in ("small", "medium", "large")]
        rows.append((name, ["" if count is None else count for count in counts]))
    for each in classes:
        by_class.append((each, [(one.get("boxes_per_class") or {}).get(each, "") for one in splits.values()]))
    return {"titles": titles, "rows": rows, "names": list(splits), "by_class": by_class}


def _costs(dossier: Dossier) -> list[tuple[str, str]]:
    """What is known here of what the run took; what instances cost stands in the account's bill."""
    model, resources = dossier.evaluation.model, dossier.evaluation.resources
    rows = []
    if model.steps is not None:
        best = f", the weights of step {model.best_step:,}" if model.best_step is not None else ""
        rows.append(("Training", f"{model.steps:,} steps{best}"))
    artifact = dossier.source.artifact
    seconds = _training_seconds(artifact.history, _batch_size(artifact.pipeline_config))
    if seconds is not None:
        rows.append(("Time in training steps", f"about {_duration(seconds)}, by the speed that its history tells"))
    if resources.artifact_megabytes is not None:
        rows.append(("Size of the archive", f"{resources.artifact_megabytes:.1f} MB"))
    served = dossier.evaluation.serving.runtimes[dossier.evaluation.serving.runtime]
    if served.load_seconds is not None:
        rows.append(("Time until the server answers", f"{served.load_seconds:.1f} s"))
    return rows


def _training_seconds(history: Sequence[Mapping[str, Any]], batch: int | None) -> float | None:
    """Seconds in steps, where it is known how many images a step has and how fast they went."""
    seconds, before = 0.0, 0.0
    for entry in history:
        step, speed = entry.get("step"), entry.get("images_per_second")
        if batch and isinstance(step, int | float) and isinstance(speed, int | float) and speed > 0:
            seconds += (step - before) * batch / speed
            before = step
    return seconds or None


def _batch_size(pipeline_config: str) -> int | None:
    """Images a step; None where the config does not say it."""
    try:
        found = parse(pipeline_config).get("train_config", [None])[0]
    except TextFormatError:
        return None
    batch = found.get("batch_size", [None])[0] if isinstance(found, Message) else None
    return batch if isinstance(batch, int) else None


def _duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} hours"
        if seconds >= 5400
        else f"{seconds / 60:.0f} min"
        if seconds >= 90
        else f"{seconds:.0f} s"
    )


def _provenance(dossier: Dossier) -> list[tuple[str, str]]:
    model, source = dossier.evaluation.model, dossier.source
    description, training = source.artifact.description, source.artifact.training
    start = description.get("initial_checkpoint")
    policy = dossier.evaluation.policy
    rows = [
        ("Architecture", model.architecture),
        ("Model archive", model.uri or "unknown"),
        ("SHA-256 of the archive", model.sha256),
        ("Trained on the data set", model.trained_on or "unknown"),
        ("Evaluated on the data set", dossier.evaluation.dataset.sha256),
        ("Test set", dossier.evaluation.dataset.test_set),
        ("Floor policy", policy.floor.sha256),
        ("This execution's policy", policy.run.sha256 if policy.run else "none"),
        ("Training image", str(description.get("image_digest") or "")),
        ("Started from", _known_parts(start) if isinstance(start, Mapping) else "drawn weights"),
    ]
    rows += [(f"Training: {name.replace('_', ' ')}", fact(value)) for name, value in training.items()]
    return [(name, value) for name, value in rows if value]


def _known_parts(start: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {fact(value)}" for name, value in start.items() if value is not None)
