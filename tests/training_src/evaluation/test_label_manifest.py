# SPDX-License-Identifier: Apache-2.0
"""Labels in doubt as Ground Truth's manifest, which PrepareDataset reads back."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training_src.data.dataset import LabelledImage
from training_src.data.formats import ground_truth
from training_src.evaluation.assignment import NONE
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.label_errors import LabelError
from training_src.evaluation.label_manifest import Answers, manifest

MADE = datetime(2026, 11, 30, 16, 5, tzinfo=UTC)
DOUBTS = [
    LabelError("no box", 1, 0, NONE, 0.99),
    LabelError("wrong class", 0, 1, 1, 0.9),
    LabelError("wrong place", 0, 2, 0, 0.8),
]


def answers() -> Answers:
    truth = GroundTruth.from_images(
        [(100, 200), (50, 50)],
        [[[0.1, 0.1, 0.2, 0.2], [0.5, 0.5, 0.6, 0.6]], np.zeros((0, 4))],
        [[1, 1], []],
        source_ids=["a.png", "b.png"],
    )
    boxes = [[0.0, 0.0, 0.5, 1.02], [0.5, 0.5, 0.6, 0.6], [0.1, 0.1, 0.4, 0.4]]
    found = Detections(np.array([1, 0, 0]), np.array(boxes), np.array([0.95, 0.9, 0.7]), np.array([4, 4, 1]))
    return Answers(truth, found, {1: "cat", 4: "dog"})


def test_a_line_is_as_a_bounding_box_job_writes_it() -> None:
    text = manifest(DOUBTS, answers(), {0: "s3://bucket/0.png", 1: "s3://bucket/1.png"}, MADE)
    first, second = (json.loads(line) for line in text.splitlines())
    # What lies outside the image is cut off.
    assert first == {
        "source-ref": "s3://bucket/1.png",
        "bounding-box": {
            "image_size": [{"width": 50, "height": 50, "depth": 3}],
            "annotations": [{"class_id": 1, "left": 0, "top": 0, "width": 50, "height": 25}],
        },
        "bounding-box-metadata": {
            "objects": [{"confidence": 0.95}],
            "class-map": {"0": "cat", "1": "dog"},
            "type": "groundtruth/object-detection",
            "human-annotated": "no",
            "creation-date": "2026-11-30T16:05:00.000000",
            "job-name": "mapgate-label-errors",
        },
        "label-errors": {"source-id": "b.png", "doubts": [{"kind": "no box", "annotation": 0, "score": 0.95}]},
    }
    assert second["bounding-box"]["annotations"] == [
        {"class_id": 0, "left": 20, "top": 10, "width": 60, "height": 30},
        {"class_id": 1, "left": 100, "top": 50, "width": 20, "height": 10},
    ]
    assert second["bounding-box-metadata"]["objects"] == [{"confidence": 0.7}, {"confidence": 0.9}]
    assert [one["annotation"] for one in second["label-errors"]["doubts"]] == [1, 0]


def test_images_without_an_address_are_left_out() -> None:
    text = manifest(DOUBTS, answers(), {1: "s3://bucket/1.png"}, MADE)
    assert [json.loads(line)["source-ref"] for line in text.splitlines()] == ["s3://bucket/1.png"]
    assert manifest([], answers(), {0: "s3://bucket/0.png"}, MADE) == ""


def test_prepare_reads_it_as_a_data_set(tmp_path: Path) -> None:
    addresses = {0: "s3://bucket/label_errors/0.png", 1: "s3://bucket/label_errors/1.png"}
    (tmp_path / "output.manifest").write_text(manifest(DOUBTS, answers(), addresses, MADE))
    for name, (height, width) in {"0.png": (100, 200), "1.png": (50, 50)}.items():
        cv2.imwrite(str(tmp_path / name), np.zeros((height, width, 3), np.uint8))
    entries: list[Any] = list(ground_truth.read(tmp_path, None).entries())
    assert all(isinstance(one, LabelledImage) for one in entries), entries
    assert {one.source_id: len(one.boxes) for one in entries} == {"0.png": 2, "1.png": 1}
