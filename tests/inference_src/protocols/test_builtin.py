# SPDX-License-Identifier: Apache-2.0
"""The built-in algorithm's answer: corners as its client unpacks them, classes as places in the labels."""

import numpy as np
import pytest

from inference_src.detections import Detections
from inference_src.model import ObjectClass
from inference_src.protocols.builtin import answer
from inference_src.protocols.tensorflow_serving import prediction

CLASSES = [ObjectClass(id=1, name="vehicle"), ObjectClass(id=2, name="pedestrian"), ObjectClass(id=4, name="cyclist")]


@pytest.fixture
def detections() -> Detections:
    """Five detections, not in order, one of an id between the known ones, and padding that looks good."""
    return Detections(
        boxes=np.array([[y / 10, y / 10 + 0.05, y / 10 + 0.1, 1.0] for y in range(6)], np.float32),
        scores=np.array([0.2, 0.9, 0.5, 0.95, 0.5, 1.0], np.float32),
        classes=np.array([4, 1, 2, 3, 4, 1], np.int32),
        count=5,
    )


def test_best_come_first_and_unnamed_ids_and_padding_are_left_out(detections: Detections) -> None:
    result = answer(detections, CLASSES)
    assert [result["labels"][index] for index in result["classes"]] == ["vehicle", "pedestrian", "cyclist", "cyclist"]
    assert result["scores"] == pytest.approx([0.9, 0.5, 0.5, 0.2])


def test_boxes_are_left_bottom_right_top(detections: Detections) -> None:
    result = answer(detections, CLASSES, n_predictions=1)
    assert result["normalized_boxes"] == [pytest.approx([0.15, 0.1, 1.0, 0.2])]


def test_fewer_detections_than_wanted_are_all(detections: Detections) -> None:
    assert len(answer(detections, CLASSES, n_predictions=50)["scores"]) == 4
    nothing = Detections(detections.boxes, detections.scores, detections.classes, count=0)
    result = answer(nothing, CLASSES)
    assert (result["normalized_boxes"], result["classes"], result["scores"]) == ([], [], [])
    assert result["labels"] == ["vehicle", "pedestrian", "cyclist"]


def test_the_model_s_output_is_a_batch_of_one(detections: Detections) -> None:
    raw = answer(detections, CLASSES, 1, prediction(detections))["tensorflow_model_output"]
    assert np.shape(raw["detection_boxes"]) == (1, 6, 4)
    assert raw["detection_classes"] == [[4, 1, 2, 3, 4, 1]]
    assert raw["num_detections"] == [5.0]
