# SPDX-License-Identifier: Apache-2.0
"""COCO's box metrics, computed by hotcoco, which nothing else in the project imports.

Its answers are those of pycocotools (the tests compare them); its inputs are checked here, because it takes NaN, boxes
turned inside out and unknown ids without a word.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from hotcoco import COCO, COCOeval
from numpy.typing import NDArray

from training_src.evaluation.boxes import (
    Detections,
    Floats,
    GroundTruth,
    Integers,
    check_detections,
    check_ground_truth,
    to_pixels,
)
from training_src.evaluation.matches import MAXIMUM_DETECTIONS, Matches, match

# COCO's twelve numbers in its own order, by the names that evaluation.json gives them.
METRICS = (
    *("mAP", "mAP_50", "mAP_75", "mAP_small", "mAP_medium", "mAP_large"),
    *("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"),
)
# The same of one class, in the same order, by the names under which evaluation.json has them.
CLASS_METRICS = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"),
)
_AREAS = {"small": "below 32² pixels", "medium": "of 32² to 96² pixels", "large": "above 96² pixels"}
# Shapes of COCO's arrays: precision (IoU, recall, class, area, maximum), recall (IoU, class, area, maximum).
_ALL, _LAST = 0, -1


@dataclass(frozen=True)
class ClassMetrics:
    """One class's numbers.

    Attributes:
        id: Label-map id.
        name: Label-map name.
        support: Ground truth boxes, crowds left out.
        support_images: Images with at least one of them.
        values: By the names of `CLASS_METRICS`; None where COCO says -1.
        precision_50: Shape `(101,)`, precision at the recalls 0, 0.01, ..., 1 at IoU 0.5; empty without support.
        precision: Shape `(101,)`, the same averaged over the ten IoU thresholds.
    """

    id: int
    name: str
    support: int
    support_images: int
    values: dict[str, float | None]
    precision_50: Floats
    precision: Floats


@dataclass(frozen=True)
class ConfusionMatrix:
    """Which class was taken for which, at IoU 0.5 and above a score.

    Attributes:
        counts: Shape `(K + 1, K + 1)`; rows are true classes, columns predicted ones; the last row holds false alarms
            on background, the last column boxes that were missed.
        names: The K classes' names.
        score: Detections below it were left out.
    """

    counts: Integers
    names: tuple[str, ...]
    score: float


@dataclass(frozen=True)
class CocoMetrics:
    """COCO's twelve numbers for a set of images, and what lies behind them.

    Attributes:
        values: By the names of `METRICS`; None where COCO says -1 (unknown).
        reasons: For each None in `values`, why.
        per_class: In the order of the label map's ids.
        score: The score at which the harmonic mean of precision and recall at IoU 0.5 is greatest.
        confusion: At that score.
        images: Images evaluated.
        boxes: Ground truth boxes, crowds left out.
    """

    values: dict[str, float | None]
    reasons: dict[str, str]
    per_class: tuple[ClassMetrics, ...]
    score: float
    confusion: ConfusionMatrix
    images: int
    boxes: int

    def __getitem__(self, name: str) -> float | None:
        """The value of one of `METRICS`."""
        return self.values[name]

    def __str__(self) -> str:
        """The twelve lines that pycocotools prints."""
        overall, sizes = "0.50:0.95", ("small", "medium", "large")
        rows = [("Average Precision", "(AP)", threshold, "all", 100) for threshold in (overall, "0.50", "0.75")]
        rows += [("Average Precision", "(AP)", overall, size, 100) for size in sizes]
        rows += [("Average Recall", "(AR)", overall, "all", maximum) for maximum in (1, 10, 100)]
        rows += [("Average Recall", "(AR)", overall, size, 100) for size in sizes]
        lines = []
        for name, (title, kind, threshold, area, maximum) in zip(METRICS, rows, strict=True):
            value = self.values[name]
            where = f"IoU={threshold:<9} | area={area:>6} | maxDets={maximum:>3}"
            lines.append(f" {title:<18} {kind} @[ {where} ] = {-1.0 if value is None else value:0.3f}")
        return "\n".join(lines)


def evaluate(truth: GroundTruth, detections: Detections, label_map: Mapping[int, str]) -> CocoMetrics:
    """COCO's box metrics of detections against ground truth.

    Args:
        truth: What is in the images.
        detections: What was found in the same images.
        label_map: Names by id; gaps between ids are fine.

    Raises:
        EvaluationError: Either is not what it should be (`check_ground_truth`, `check_detections`).
    """
    evaluator = _evaluator(truth, detections, label_map)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summary_lines()  # computes `stats` without printing
    values = {name: _known(value) for name, value in zip(METRICS, evaluator.stats, strict=True)}
    score = operating_score(match(truth, detections, label_map))
    counted = ~truth.ignored
    return CocoMetrics(
        values=values,
        reasons={name: _reason(name) for name, value in values.items() if value is None},
        per_class=_per_class(evaluator, truth, label_map),
        score=score,
        confusion=_confusion(evaluator, label_map, score),
        images=truth.images,
        boxes=int(counted.sum()),
    )


def mean_value(metrics: CocoMetrics, classes: Collection[int], name: str) -> float | None:
    """The mean over some classes, by their ids, of one of `CLASS_METRICS`; None where it is unknown of all of them."""
    values = [one.values[name] for one in metrics.per_class if one.id in classes]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def operating_score(matches: Matches) -> float:
    """The score above which detections have the greatest F1 at IoU 0.5 over all classes; 0.5 if nothing was found."""
    truths = sum(int(found.truths.sum()) for found in matches.classes.values())
    scores = np.concatenate([found.scores[~found.ignored[0]] for found in matches.classes.values()])
    matched = np.concatenate([found.matched[0][~found.ignored[0]] for found in matches.classes.values()])
    if not truths or not matched.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    f1 = 2 * np.cumsum(matched[order]) / (np.arange(1, len(order) + 1) + truths)
    return float(scores[order][int(f1.argmax())])


def _evaluator(truth: GroundTruth, detections: Detections, label_map: Mapping[int, str]) -> COCOeval:
    check_ground_truth(truth, label_map)
    check_detections(detections, truth.images, label_map)
    images = [
        {"id": index + 1, "height": int(height), "width": int(width), "file_name": ""}
        for index, (height, width) in enumerate(truth.sizes)
    ]
    dataset = COCO.from_arrays(
        images,
        [{"id": number, "name": label_map[number]} for number in sorted(label_map)],
        image_ids=truth.image_index.astype(np.int64) + 1,
        category_ids=truth.classes.astype(np.int64),
        boxes=to_pixels(truth.boxes, truth.sizes, truth.image_index),
        area=truth.square_pixels(),
        iscrowd=truth.ignored.astype(np.int64),
    )
    boxes = to_pixels(detections.boxes, truth.sizes, detections.image_index)
    rows = np.column_stack([detections.image_index + 1, boxes, detections.scores, detections.classes])
    return COCOeval(dataset, dataset.load_res(rows.astype(np.float64)), "bbox")


def _per_class(evaluator: COCOeval, truth: GroundTruth, label_map: Mapping[int, str]) -> tuple[ClassMetrics, ...]:
    accumulated = evaluator.eval or {}
    precision, recall = accumulated["precision"], accumulated["recall"]
    found = []
    for position, number in enumerate(sorted(label_map)):
        mine = (truth.classes == number) & ~truth.ignored
        curves = precision[:, :, position, _ALL, _LAST]
        known, empty = bool(mine.any()), np.zeros(0)
        found.append(
            ClassMetrics(
                id=number,
                name=label_map[number],
                support=int(mine.sum()),
                support_images=len(np.unique(truth.image_index[mine])),
                values=_class_values(precision[:, :, position], recall[:, position]),
                precision_50=np.array(curves[0]) if known else empty,
                precision=curves.mean(axis=0) if known else empty,
            )
        )
    return tuple(found)


def _class_values(precision: Floats, recall: Floats) -> dict[str, float | None]:
    """One class's numbers of its precision (IoU, recall, area, maximum) and recall (IoU, area, maximum)."""
    areas = range(1, precision.shape[2])
    values = [
        *(precision[:, :, _ALL, _LAST], precision[0, :, _ALL, _LAST], precision[5, :, _ALL, _LAST]),
        *(precision[:, :, area, _LAST] for area in areas),
        *(recall[:, _ALL, maximum] for maximum in range(recall.shape[2])),
        *(recall[:, area, _LAST] for area in areas),
    ]
    return {name: _known(value.mean()) for name, value in zip(CLASS_METRICS, values, strict=True)}


def _confusion(evaluator: COCOeval, label_map: Mapping[int, str], score: float) -> ConfusionMatrix:
    found = evaluator.confusion_matrix(iou_thr=0.5, max_det=MAXIMUM_DETECTIONS, min_score=score)
    counts: NDArray[np.int64] = np.asarray(found["matrix"]).astype(np.int64)
    return ConfusionMatrix(counts, tuple(label_map[number] for number in found["cat_ids"]), score)


def _known(value: float) -> float | None:
    """COCO says -1 for what it does not know."""
    return float(value) if value > -1 else None


def _reason(name: str) -> str:
    area = _AREAS.get(name.rpartition("_")[2])
    return f"the test set has no box {area}" if area else "the test set has no box to be found"
