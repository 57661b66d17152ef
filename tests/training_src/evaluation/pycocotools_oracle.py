# SPDX-License-Identifier: Apache-2.0
"""pycocotools' answers about the same columns."""

import contextlib
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from training_src.evaluation.boxes import Detections, GroundTruth, to_pixels


def judged(truth: GroundTruth, detections: Detections, labels: dict[int, str]) -> tuple[COCOeval, str]:
    """An evaluator that has evaluated, accumulated and summarised, and what it printed; image ids count from 1."""
    boxes = to_pixels(truth.boxes, truth.sizes, truth.image_index)
    images = [{"id": index + 1, "height": int(h), "width": int(w)} for index, (h, w) in enumerate(truth.sizes)]
    categories = [{"id": number, "name": name} for number, name in labels.items()]
    annotations = [
        {"id": at + 1, "image_id": int(image) + 1, "category_id": int(kind), "bbox": list(map(float, box)),
         "area": float(area), "iscrowd": int(skip)}
        for at, (image, kind, box, skip, area) in enumerate(
            zip(truth.image_index, truth.classes, boxes, truth.ignored, truth.square_pixels(), strict=True)
        )
    ]  # fmt: skip
    found = to_pixels(detections.boxes, truth.sizes, detections.image_index)
    results = [
        {"id": at + 1, "image_id": int(image) + 1, "category_id": int(kind), "bbox": list(map(float, box)),
         "area": float(box[2] * box[3]), "iscrowd": 0, "score": float(score)}
        for at, (image, kind, box, score) in enumerate(
            zip(detections.image_index, detections.classes, found, detections.scores, strict=True)
        )
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        pair = []
        for entries in (annotations, results):
            dataset = COCO()
            dataset.dataset = {"images": images, "categories": categories, "annotations": entries}
            dataset.createIndex()
            pair.append(dataset)
        evaluator = COCOeval(*pair, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator, printed.getvalue()
