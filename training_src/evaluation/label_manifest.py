# SPDX-License-Identifier: Apache-2.0
"""Labels in doubt for a labelling job that adjusts boxes: Ground Truth's augmented manifest, a line an image.

Each line holds the image's labels with what the detector would change about them put in; `confidence` is 1 for a label
as it is, and the detection's score for one that was added, renamed or moved. What a job makes of it is a data set that
PrepareDataset reads. Ground Truth passes attributes on that it does not know, such as `label-errors`, where the image's
source id and the doubts stand.
Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html (Bounding Box Job Output) and
https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-verify-adjust-prereq.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from training_src.evaluation.assignment import NONE
from training_src.evaluation.boxes import Detections, GroundTruth, to_pixels
from training_src.evaluation.label_errors import LabelError

ATTRIBUTE = "bounding-box"
JOB_NAME = "mapgate-label-errors"


@dataclass(frozen=True)
class Answers:
    """What labels are compared with.

    Attributes:
        truth: The labels as they are.
        detections: What was found.
        label_map: Names by id.
    """

    truth: GroundTruth
    detections: Detections
    label_map: Mapping[int, str]


def manifest(doubts: Sequence[LabelError], answers: Answers, addresses: Mapping[int, str], made: datetime) -> str:
    """The manifest of the images that have an address, in the order of their first doubt.

    Args:
        doubts: The surest first.
        answers: Where they come from.
        addresses: Each image's S3 address, by its index.
        made: In UTC.
    """
    by_image: dict[int, list[LabelError]] = {}
    for doubt in doubts:
        if doubt.image in addresses:
            by_image.setdefault(doubt.image, []).append(doubt)
    lines = [_line(mine, answers, addresses[image], made) for image, mine in by_image.items()]
    return "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in lines)


def _line(doubts: Sequence[LabelError], answers: Answers, address: str, made: datetime) -> dict[str, Any]:
    truth, image = answers.truth, doubts[0].image
    height, width = truth.sizes[image].tolist()
    numbers = {label: at for at, label in enumerate(sorted(answers.label_map))}
    boxes, labels, sure, told = _adjusted(doubts, answers)
    pixels = _whole(to_pixels(boxes, truth.sizes, np.full(len(boxes), image)), height, width)
    return {
        "source-ref": address,
        ATTRIBUTE: {
            "image_size": [{"width": width, "height": height, "depth": 3}],
            "annotations": [
                {"class_id": numbers[label], "left": left, "top": top, "width": across, "height": down}
                for label, (left, top, across, down) in zip(labels, pixels, strict=True)
            ],
        },
        f"{ATTRIBUTE}-metadata": {
            "objects": [{"confidence": round(one, 4)} for one in sure],
            "class-map": {str(at): answers.label_map[label] for label, at in numbers.items()},
            "type": "groundtruth/object-detection",
            "human-annotated": "no",
            "creation-date": made.replace(tzinfo=None).isoformat(timespec="microseconds"),
            "job-name": JOB_NAME,
        },
        "label-errors": {"source-id": truth.source_ids[image] if truth.source_ids else "", "doubts": told},
    }


def _adjusted(
    doubts: Sequence[LabelError], answers: Answers
) -> tuple[Any, list[int], list[float], list[dict[str, Any]]]:
    """Boxes `(n, 4)`, their classes and confidences, and where among them each doubt lies."""
    truth, found = answers.truth, answers.detections
    rows = np.flatnonzero((truth.image_index == doubts[0].image) & ~truth.ignored).tolist()
    boxes, labels = [truth.boxes[row] for row in rows], [int(truth.classes[row]) for row in rows]
    sure, told = [1.0] * len(rows), []
    for doubt in doubts:
        score = float(found.scores[doubt.detection])
        at = len(boxes) if doubt.box == NONE else rows.index(doubt.box)
        box, label = found.boxes[doubt.detection], int(found.classes[doubt.detection])
        if doubt.box == NONE:
            boxes, labels, sure = [*boxes, box], [*labels, label], [*sure, score]
        else:
            boxes[at] = box if doubt.kind == "wrong place" else boxes[at]
            labels[at], sure[at] = label, score
        told.append({"kind": doubt.kind, "annotation": at, "score": round(score, 4)})
    return np.stack(boxes), labels, sure, told


def _whole(boxes: Any, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height in whole pixels within the image, none of them empty."""
    found = []
    for x, y, across, down in boxes.tolist():
        left, top = min(max(round(x), 0), width - 1), min(max(round(y), 0), height - 1)
        right, bottom = min(max(round(x + across), left + 1), width), min(max(round(y + down), top + 1), height)
        found.append((left, top, right - left, bottom - top))
    return found
