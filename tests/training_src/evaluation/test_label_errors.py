# SPDX-License-Identifier: Apache-2.0
"""Labels in doubt: each kind made by hand, and damaged labels found again."""

import numpy as np
import pytest

from training_src.evaluation.assignment import NONE, assign
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.label_errors import LEAST_RIGHT, MOST, LabelError, label_errors

A, B = [0.0, 0.0, 0.4, 0.4], [0.6, 0.6, 1.0, 1.0]
NEAR_B = [0.6, 0.6, 0.8, 0.9]  # IoU 0.375


def told(
    extra: list[list[float]], scores: list[float], classes: list[int], box: list[float] = A, right: int = 10
) -> list[LabelError]:
    """Doubts of images with the box A of class 1, all found at 0.5 to 0.9, and one more with `box` of class 1."""
    sure = np.linspace(0.5, 0.9, right).tolist()
    truth = GroundTruth.from_images([(100, 100)] * (right + 1), [[A]] * right + [[box]], [[1]] * (right + 1))
    found = Detections.from_images(
        [[A]] * right + [extra], [[one] for one in sure] + [scores], [[1]] * right + [classes]
    )
    return label_errors(found, assign(truth, found), 0.3)


def test_a_sure_detection_where_there_is_no_box() -> None:
    (found,) = told([A, B], [0.8, 0.95], [1, 1])
    # The one of 0.8 is right itself: ten of eleven and itself lie below 0.95.
    assert found == LabelError("no box", 10, 11, NONE, 1.0)


def test_a_box_in_the_wrong_place() -> None:
    (found,) = told([NEAR_B], [0.85], [1], box=B)
    assert (found.kind, found.image, found.box) == ("wrong place", 10, 10)
    assert found.sure == pytest.approx(0.8)


def test_a_box_of_the_wrong_class_needs_a_class_whose_scores_are_known() -> None:
    assert not told([A], [0.95], [2])
    sure = np.linspace(0.5, 0.9, LEAST_RIGHT).tolist()
    truth = GroundTruth.from_images(
        [(9, 9)] * (LEAST_RIGHT + 1), [[A]] * (LEAST_RIGHT + 1), [[1]] * LEAST_RIGHT + [[2]]
    )
    found = Detections.from_images(
        [[A]] * (LEAST_RIGHT + 1), [*([one] for one in sure), [0.95]], [[1]] * (LEAST_RIGHT + 1)
    )
    (doubt,) = label_errors(found, assign(truth, found), 0.3)
    assert (doubt.kind, doubt.box) == ("wrong class", LEAST_RIGHT)


def test_an_unsure_detection_doubts_nothing() -> None:
    assert not told([A, B], [0.8, 0.6], [1, 1])


def test_a_box_that_is_found_is_in_no_doubt() -> None:
    assert not told([B, NEAR_B], [0.7, 0.95], [1, 1], box=B)


def test_one_place_is_told_once() -> None:
    found = told([A, B, [0.6, 0.6, 0.98, 1.0]], [0.8, 0.95, 0.93], [1, 1, 1])
    assert [one.detection for one in found] == [11]


def test_the_surest_come_first_and_only_so_many() -> None:
    corners = [(y, x) for y in np.linspace(0.5, 0.97, 32).tolist() for x in np.linspace(0, 0.97, 32).tolist()]
    boxes = [[y, x, y + 0.01, x + 0.01] for y, x in corners]
    scores = np.linspace(0.71, 0.99, len(boxes)).tolist()
    found = told(boxes, scores, [1] * len(boxes))
    assert len(found) == MOST
    assert [one.sure for one in found] == sorted((one.sure for one in found), reverse=True)


def test_damaged_labels_are_found_again() -> None:
    """Of 20 boxes that were taken away from 400, a good detector points at most, and at little else."""
    random = np.random.default_rng(5)
    corner = random.uniform(0, 0.7, (100, 4, 2)) * [0.05, 1] + np.array([0, 0.25, 0.5, 0.75])[None, :, None] * [1, 0]
    boxes = np.concatenate([corner, corner + np.array([0.2, 0.25])], axis=2)
    lost = set(random.choice(400, 20, replace=False).tolist())
    kept = [
        [box for at, box in enumerate(four) if image * 4 + at not in lost] for image, four in enumerate(boxes.tolist())
    ]
    truth = GroundTruth.from_images([(100, 100)] * 100, kept, [[1] * len(one) for one in kept])
    near = np.clip(boxes + random.normal(0, 0.005, boxes.shape), 0, 1)
    found = Detections.from_images(list(near), list(random.uniform(0.4, 1, (100, 4))), [[1] * 4] * 100)
    doubts = label_errors(found, assign(truth, found), 0.3)
    at_lost = [one for one in doubts if one.detection in lost]
    assert len(at_lost) >= 8
    assert len(at_lost) == len(doubts)


def test_nothing_found_and_nothing_labelled_is_no_error() -> None:
    truth = GroundTruth.from_images([(10, 10)], [[]], [[]])
    found = Detections.from_images([[]], [[]], [[]])
    assert not label_errors(found, assign(truth, found), 0.5)
