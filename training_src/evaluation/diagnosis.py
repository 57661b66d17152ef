# SPDX-License-Identifier: Apache-2.0
"""What lies behind the verdict, for people and in `curves.json` for machines: nothing of it decides anything."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training_src.evaluation.assignment import Assignment, assign
from training_src.evaluation.boxes import Booleans, Detections, Floats, GroundTruth
from training_src.evaluation.calibration import Calibration, calibration
from training_src.evaluation.coco import ClassMetrics
from training_src.evaluation.curves import SCORES, ScoreCurve, score_curve
from training_src.evaluation.error_types import ErrorTypes, error_types
from training_src.evaluation.label_errors import LabelError, label_errors
from training_src.evaluation.matches import RECALLS

SCHEMA_VERSION = 1
_DIGITS = 4


@dataclass(frozen=True)
class ClassDiagnosis:
    """One class over all scores."""

    name: str
    curve: ScoreCurve
    calibration: Calibration


@dataclass(frozen=True)
class Diagnosis:
    """All classes' detections explained.

    Attributes:
        score: From which on errors are counted.
        found: Which box each detection found.
        curve: Of all classes together.
        calibration: Of all classes together.
        classes: By label-map id, in its order.
        missed: By label-map id, boxes that nothing found at the score.
        errors: Kinds of errors.
        doubts: Labels that are likely wrong, the likeliest first.
    """

    score: float
    found: Assignment
    curve: ScoreCurve
    calibration: Calibration
    classes: Mapping[int, ClassDiagnosis]
    missed: Mapping[int, int]
    errors: ErrorTypes
    doubts: Sequence[LabelError]


def diagnose(truth: GroundTruth, detections: Detections, label_map: Mapping[int, str], score: float) -> Diagnosis:
    """Explain detections.

    Args:
        truth: What is in the images.
        detections: What was found in them.
        label_map: Names by id.
        score: The one from which on a detection counts where one must be chosen.
    """
    found = assign(truth, detections)
    scores, right, counted = detections.scores, found.right, found.counted
    classes = {}
    for number in sorted(label_map):
        mine = counted & (detections.classes == number)
        truths = int(((truth.classes == number) & ~truth.ignored).sum())
        curve = score_curve(scores[mine], right[mine], truths)
        classes[number] = ClassDiagnosis(label_map[number], curve, calibration(scores[mine], right[mine]))
    return Diagnosis(
        score=score,
        found=found,
        curve=score_curve(scores[counted], right[counted], int((~truth.ignored).sum())),
        calibration=calibration(scores[counted], right[counted]),
        classes=classes,
        missed=_missed(truth, found, scores >= score, label_map),
        errors=error_types(truth, detections, found, score),
        doubts=label_errors(detections, found, score),
    )


def _missed(truth: GroundTruth, found: Assignment, kept: Booleans, label_map: Mapping[int, str]) -> dict[int, int]:
    seen = np.zeros(len(truth.classes), bool)
    seen[found.found[kept & found.right]] = True
    return {number: int(((truth.classes == number) & ~truth.ignored & ~seen).sum()) for number in label_map}


def curves(
    found: Diagnosis, per_class: Sequence[ClassMetrics], history: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """What `curves.json` holds; unknown is null.

    `scores` are common to all curves over the score, `recalls` to all of precision over recall.

    Args:
        found: What was diagnosed.
        per_class: With COCO's precision over recall.
        history: The training's losses and validations, as `history.json` has them.
    """
    precision_recall = {
        one.name: {"iou_50": _numbers(one.precision_50), "mean": _numbers(one.precision)} for one in per_class
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "score_threshold": found.score,
        "scores": _numbers(SCORES),
        "recalls": _numbers(RECALLS),
        "all": _written(found.curve, found.calibration),
        "classes": {
            one.name: _written(one.curve, one.calibration)
            | {"precision_over_recall": precision_recall.get(one.name), "errors": found.errors.by_class.get(number)}
            for number, one in found.classes.items()
        },
        "errors": {
            name: {"count": count, "mAP_50_gained": _number(found.errors.gains[name])}
            for name, count in found.errors.counts.items()
        },
        "label_errors": len(found.doubts),
        "history": [_entry(entry) for entry in history],
    }


def _written(curve: ScoreCurve, calibrated: Calibration) -> dict[str, Any]:
    return {
        "boxes": curve.truths,
        "precision": _numbers(curve.precision),
        "recall": _numbers(curve.recall),
        "f1": _numbers(curve.f1),
        "calibration": {
            "error": _number(calibrated.error),
            "bias": _number(calibrated.bias),
            "bins": [
                {name: _number(value) if isinstance(value, float) else value for name, value in asdict(one).items()}
                for one in calibrated.bins
            ],
        },
    }


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Its numbers; JSON knows no NaN, which a training may have written."""
    return {name: value for name, value in entry.items() if isinstance(value, int | float) and math.isfinite(value)}


def _numbers(values: Floats) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, _DIGITS)
