# SPDX-License-Identifier: Apache-2.0
"""COCO metrics against pycocotools, the same boxes and detections."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.benchmarks.ratio import Row, ratio
from training_src.evaluation.boxes import Detections, GroundTruth, to_pixels
from training_src.evaluation.coco import evaluate

IMAGES, BOXES, DETECTIONS, CLASSES = 300, 12, 60, 8


def run() -> list[Row]:
    """Evaluate once with each, in turn."""
    truth, detections = _random()
    names = {number + 1: f"class_{number + 1}" for number in range(CLASSES)}
    annotations, results = _as_coco(truth, detections)
    times = ratio(lambda: evaluate(truth, detections, names), lambda: _pycocotools(annotations, results), rounds=3)
    return [Row("COCO metrics, inputs checked", "pycocotools", times, "times as fast")]


def _random() -> tuple[GroundTruth, Detections]:
    random = np.random.default_rng(5)

    def boxes(count: int) -> Any:
        corner, size = random.uniform(0, 0.7, (count, 2)), random.uniform(0.05, 0.3, (count, 2))
        return np.concatenate([corner, corner + size], axis=1).astype(np.float32)

    true = [boxes(BOXES) for _ in range(IMAGES)]
    found = [
        np.concatenate([np.clip(some + random.normal(0, 0.01, some.shape), 0, 1), boxes(DETECTIONS - BOXES)]).astype(
            np.float32
        )
        for some in true
    ]
    found = [np.concatenate([np.minimum(b[:, :2], b[:, 2:]), np.maximum(b[:, :2], b[:, 2:]) + 1e-3], 1) for b in found]
    labels = [random.integers(1, CLASSES + 1, BOXES) for _ in range(IMAGES)]
    truth = GroundTruth.from_images(
        sizes=[(480, 640)] * IMAGES,
        boxes=true,
        classes=labels,
        ignored=[np.zeros(BOXES, bool) for _ in range(IMAGES)],
    )
    guesses = [np.concatenate([some, random.integers(1, CLASSES + 1, DETECTIONS - BOXES)]) for some in labels]
    scores = [random.uniform(0, 1, DETECTIONS).astype(np.float32) for _ in range(IMAGES)]
    return truth, Detections.from_images([b.astype(np.float32) for b in found], scores, guesses)


def _as_coco(truth: GroundTruth, detections: Detections) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    true = to_pixels(truth.boxes, truth.sizes, truth.image_index)
    found = to_pixels(detections.boxes, truth.sizes, detections.image_index)
    annotations = [
        {
            "id": index + 1,
            "image_id": int(image),
            "category_id": int(number),
            "bbox": box.tolist(),
            "area": float(box[2] * box[3]),
            "iscrowd": 0,
        }
        for index, (image, number, box) in enumerate(zip(truth.image_index, truth.classes, true, strict=True))
    ]
    images = [{"id": image, "height": 480, "width": 640} for image in range(IMAGES)]
    categories = [{"id": number + 1} for number in range(CLASSES)]
    results = [
        {"image_id": int(image), "category_id": int(number), "bbox": box.tolist(), "score": float(score)}
        for image, number, box, score in zip(
            detections.image_index, detections.classes, found, detections.scores, strict=True
        )
    ]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def _pycocotools(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = annotations
        truth.createIndex()
        judged = COCOeval(truth, truth.loadRes(results), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
