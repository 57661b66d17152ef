# SPDX-License-Identifier: Apache-2.0
"""Classes are the same where their names are, whatever their ids."""

import numpy as np
import pytest

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


@pytest.mark.parametrize("theirs", ["cafe\u0301", " caf\u00e9", "caf\u00e9 "])
def test_class_that_is_written_in_another_way_is_the_same(theirs: str) -> None:
    ours = {1: "bar", 2: "caf\u00e9"}
    assert common_classes({1: theirs}, ours) == CommonClasses(common=("caf\u00e9",), new=("bar",))
    found = Detections.from_images([BOX], [np.array([0.5])], [np.array([1])])
    assert translated_detections(found, {1: theirs}, ours).classes.tolist() == [2]
    truth = GroundTruth.from_images([(10, 10)], [BOX], [np.array([1])], [np.array([False])], ["a"])
    translated, missing = translated_truth(truth, {1: theirs}, ours)
    assert (translated.classes.tolist(), missing) == ([2], {})


def test_class_that_only_looks_the_same_is_named_and_not_common() -> None:
    found = common_classes({1: "c\u0430r", 2: "Person", 3: "tram"}, OURS)
    assert found.common == ()
    assert found.alike == (("c\u0430r", "car"), ("Person", "person"))
    both = {1: "a", 2: "A"}
    assert common_classes(both, both).alike == ()
