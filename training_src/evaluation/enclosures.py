# SPDX-License-Identifier: Apache-2.0
"""The files beside the report that explain it: curves for machines, and labels in doubt for a labelling job."""

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from training_src.evaluation.boxes import Detections
from training_src.evaluation.coco import CocoMetrics
from training_src.evaluation.diagnosis import Diagnosis, curves
from training_src.evaluation.label_manifest import Answers, manifest
from training_src.evaluation.test_set import TestSet

CURVES, MANIFEST, IMAGES = "curves.json", "label_errors.manifest", "label_errors"
# Images that are copied for a labelling job, the likeliest first: they are as large as the user's files are.
MOST_IMAGES = 50
_JPEG = b"\xff\xd8"


@dataclass(frozen=True)
class Explained:
    """What is told beside the report.

    Attributes:
        diagnosis: Of the detections.
        metrics: COCO's, with precision over recall.
        detections: What was found.
        label_map: Names by id.
        history: The training's losses and validations.
        refused: Source ids of images that nobody may be able to decode.
    """

    diagnosis: Diagnosis
    metrics: CocoMetrics
    detections: Detections
    label_map: Mapping[int, str]
    history: Sequence[Mapping[str, Any]] = ()
    refused: Container[str] = ()


def enclosures(one: Explained, test_set: TestSet, destination: str, made: datetime) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, the manifest after the images that it names.

    Args:
        one: What is told.
        test_set: The test images.
        destination: S3 address of the folder in which the files will lie; without one there is no manifest.
        made: Now, in UTC.
    """
    written = curves(one.diagnosis, one.metrics.per_class, one.history)
    yield CURVES, json.dumps(written, allow_nan=False, separators=(",", ":")).encode()
    if not destination:
        return
    images: dict[int, None] = {}
    for doubt in one.diagnosis.doubts:
        if len(images) < MOST_IMAGES and test_set.truth.source_ids[doubt.image] not in one.refused:
            images.setdefault(doubt.image)
    encoded = test_set.encoded(images) if images else {}
    names = {image: f"{IMAGES}/{image:05d}{'.jpg' if encoded[image].startswith(_JPEG) else '.png'}" for image in images}
    for image, name in names.items():
        yield name, encoded[image]
    addresses = {image: f"{destination.rstrip('/')}/{name}" for image, name in names.items()}
    answers = Answers(test_set.truth, one.detections, one.label_map)
    yield MANIFEST, manifest(one.diagnosis.doubts, answers, addresses, made).encode()
