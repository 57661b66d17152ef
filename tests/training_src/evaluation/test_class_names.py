# SPDX-License-Identifier: Apache-2.0
"""Classes are the same where their names are, whatever their ids."""

import numpy as np

from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.class_names import common_classes, translated_detections, translated_truth
from training_src.evaluation.comparison import CommonClasses

OURS = {1: "car", 2: "person", 4: "bicycle"}
THEIRS = {1: "person", 2: "car", 3: "tram", 4: "cyclist"}
BOX = np.array([[0.1, 0.1, 0.5, 0.5]])


def test_new_missing_and_renamed_classes_are_told_apart() -> None:
    assert common_classes(THEIRS, OURS) == CommonClasses(
        common=("car", "person"), new=("bicycle",), missing=("tram", "cyclist"), renamed=(("cyclist", "bicycle"),)
    )
    assert common_classes(OURS, OURS) == CommonClasses(tuple(OURS.values()))


def test_detections_of_classes_that_we_have_not_are_left_out() -> None:
    found = Detections.from_images([BOX.repeat(5, 0)], [np.linspace(0.1, 0.5, 5)], [np.array([1, 2, 3, 4, 9])])
    translated = translated_detections(found, THEIRS, OURS)
    assert translated.classes.tolist() == [2, 1]
    assert translated.scores.tolist() == [0.1, 0.2]
    assert translated_detections(found, OURS, dict(OURS)) is found


def test_boxes_of_classes_that_we_have_not_are_named_and_counted() -> None:
    truth = GroundTruth.from_images(
        [(10, 10), (10, 10)],
        [BOX.repeat(4, 0), BOX.repeat(2, 0)],
        [np.array([1, 3, 3, 4]), np.array([9, 3])],
        [np.array([False, False, True, False]), np.array([False, False])],
        ["a", "b"],
    )
    translated, missing = translated_truth(truth, THEIRS, OURS)
    assert translated.classes.tolist() == [2]
    assert translated.images == 2
    assert missing == {"tram": 2, "cyclist": 1, "id 9": 1}
