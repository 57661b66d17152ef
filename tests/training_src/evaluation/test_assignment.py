# SPDX-License-Identifier: Apache-2.0
"""Which box a detection found, and which others it overlaps."""

from collections.abc import Callable

import numpy as np
import pytest

from training_src.evaluation.assignment import NONE, assign, greatest_overlap
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.matches import match

Scenes = Callable[..., tuple[GroundTruth, Detections]]


def test_the_surest_detection_takes_the_box_and_the_next_one_nothing() -> None:
    truth = GroundTruth.from_images([(100, 100)], [[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]], [[1, 1]])
    boxes = [[0, 0, 0.5, 0.4], [0, 0, 0.5, 0.5], [0.9, 0.9, 1, 1]]
    found = assign(truth, Detections.from_images([boxes], [[0.9, 0.8, 0.7]], [[1, 1, 1]]))
    assert found.found.tolist() == [0, NONE, NONE]
    assert found.finder.tolist() == [0, NONE]
    assert found.right.tolist() == [True, False, False]
    assert found.counted.all()
    # 0.8 and 1.0 of the first box; the small one is 1 of 25 parts of the second, which is no overlap to speak of.
    assert found.overlaps.iou.tolist() == pytest.approx([0.8, 1.0])


def test_a_detection_takes_the_box_that_it_overlaps_most() -> None:
    truth = GroundTruth.from_images([(100, 100)], [[[0, 0, 0.6, 0.6], [0, 0, 0.5, 0.5]]], [[1, 1]])
    found = assign(truth, Detections.from_images([[[0, 0, 0.5, 0.5]]], [[0.9]], [[1]]))
    assert found.found.tolist() == [1]


def test_of_boxes_that_it_overlaps_equally_it_takes_the_last_one() -> None:
    truth = GroundTruth.from_images([(100, 100)], [[[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]]], [[1, 1]])
    found = assign(truth, Detections.from_images([[[0, 0, 0.5, 0.5]]], [[0.9]], [[1]]))
    assert found.found.tolist() == [1]


def test_what_lies_in_a_crowd_of_its_class_counts_as_nothing() -> None:
    truth = GroundTruth.from_images([(100, 100)], [[[0, 0, 1, 1]]], [[1]], [[True]])
    small = [0.1, 0.1, 0.2, 0.2]
    found = assign(truth, Detections.from_images([[small, small]], [[0.9, 0.8]], [[1, 2]]))
    assert found.counted.tolist() == [False, True]
    assert not len(found.overlaps.iou)


def test_greatest_overlap_tells_how_much_and_with_which_box() -> None:
    both = np.array([[0, 0, 1, 1], [0, 0, 0.5, 1]])
    truth = GroundTruth.from_images([(10, 10)] * 2, [both[:0], both], [[], [1, 2]])
    found = assign(truth, Detections.from_images([[[0, 0, 1, 1]], [[0, 0, 0.5, 1]]], [[0.9], [0.8]], [[1], [1]]))
    iou, box = greatest_overlap(found.overlaps, found.overlaps.own_class, 2)
    assert (iou.tolist(), box.tolist()) == ([0.0, 0.5], [NONE, 0])
    iou, box = greatest_overlap(found.overlaps, ~found.overlaps.own_class, 2)
    assert (iou.tolist(), box.tolist()) == ([0.0, 1.0], [NONE, 1])


@pytest.mark.parametrize("seed", range(5))
def test_finds_what_coco_finds(scenes: Scenes, labels: dict[int, str], seed: int) -> None:
    truth, detections = scenes(seed)
    found = assign(truth, detections)
    for number, theirs in match(truth, detections, labels).classes.items():
        mine = detections.classes == number
        order = np.argsort(-detections.scores[mine], kind="stable")
        np.testing.assert_array_equal(found.right[mine][order], theirs.matched[0])
        np.testing.assert_array_equal(found.counted[mine][order], ~theirs.ignored[0])


def test_no_detection_and_no_box_are_no_error() -> None:
    truth = GroundTruth.from_images([(10, 10)], [[]], [[]])
    found = assign(truth, Detections.from_images([[]], [[]], [[]]))
    assert (len(found.found), len(found.finder)) == (0, 0)
