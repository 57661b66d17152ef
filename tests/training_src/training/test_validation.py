# SPDX-License-Identifier: Apache-2.0
"""Evaluation between two steps of a training."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from containers.contract.tfrecord import write_record
from training_src.data.records.example import DetectionExample, encode
from training_src.models.architectures import build_detector
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import PipelineConfig
from training_src.models.detector import Detector
from training_src.text_format import parse
from training_src.training.records import Records
from training_src.training.validation import BATCH_SIZE, Validation

NAMES = {1: "square", 2: "disc", 4: "bar"}


@pytest.fixture(scope="module")
def detector(small_config: str, short_mobilenet: None, unsimplified: None) -> Detector:  # noqa: ARG001
    return build_detector(decode(PipelineConfig, parse(small_config)).model)


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_is_traced_once_though_the_last_batch_is_smaller(prepared: Path, detector: Detector, cache_bytes: int) -> None:
    records = Records(prepared / "train", cache_bytes=cache_bytes)
    assert len(records) % BATCH_SIZE not in (0, len(records))
    validation = Validation(detector, records, NAMES)
    first, second = validation.evaluate(), validation.evaluate()
    assert validation.traces == 1
    assert first.losses == second.losses
    assert first.loss > 0
    for picture, again in zip(first.pictures, second.pictures, strict=True):
        np.testing.assert_array_equal(picture, again)


def test_difficult_boxes_are_to_be_found_and_crowds_are_not(tmp_path: Path, detector: Detector) -> None:
    image = cv2.imencode(".png", np.zeros((48, 72, 3), np.uint8))[1].tobytes()
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.2, 0.2, 0.6, 0.6], [0.3, 0.3, 0.9, 0.9]], np.float32)
    difficult, crowd, none = np.array([1, 0, 0]), np.array([0, 1, 0]), np.zeros(3, np.int64)
    areas = np.array([np.nan, np.nan, 100], np.float32)
    example = DetectionExample(
        "a", "a.png", image, "png", 72, 48, boxes, none + 1, ("square",) * 3, difficult, none, crowd, areas=areas
    )
    with (tmp_path / "train-00000-of-00001.tfrecord").open("wb") as stream:
        write_record(stream, encode(example))
    metrics = Validation(detector, Records(tmp_path), NAMES).evaluate().metrics
    assert metrics.boxes == 2
    # The box's own area is 1,244; the stated one makes it small.
    assert metrics["mAP_small"] is not None
    assert metrics["mAP_medium"] is None
