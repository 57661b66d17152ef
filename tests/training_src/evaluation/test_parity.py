# SPDX-License-Identifier: Apache-2.0
"""Parity: rounding does not matter, another box, class or score does."""

from collections.abc import Callable

import numpy as np
import pytest

from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.parity import LEAST_SCORE, compare

Scenes = Callable[..., tuple[GroundTruth, Detections]]


def test_a_runtime_equals_itself(scenes: Scenes) -> None:
    _, found = scenes(0)
    parity = compare(found, found, 30)
    assert (parity.matched, parity.greatest_score_difference) == (1.0, 0.0)
    assert parity.compared == 2 * (found.scores >= LEAST_SCORE).sum()


def test_order_and_rounding_do_not_matter(scenes: Scenes) -> None:
    _, found = scenes(0)
    order = np.random.default_rng(0).permutation(len(found.scores))
    boxes = np.clip(found.boxes + 1e-5 * (found.boxes > 0), 0, 1)
    other = Detections(found.image_index[order], boxes[order], found.scores[order] - 1e-7, found.classes[order])
    assert compare(found, other, 30).matched == 1.0


def test_boxes_that_the_border_made_alike_are_told_apart_by_their_scores() -> None:
    nowhere = np.zeros(3, int)
    boxes = np.array([[0.2, 0.5, 1.0, 1.0]] * 3)
    found = Detections(nowhere, boxes, np.array([0.530, 0.515, 0.500]), nowhere + 1)
    # A last bit makes the best score's box overlap more with the second one's.
    others = boxes - np.array([[1e-7], [0.0], [1e-7]])
    other = Detections(nowhere, others, np.array([0.530, 0.515, 0.500]), nowhere + 1)
    parity = compare(found, other, 1)
    assert parity.matched == 1.0
    assert parity.greatest_score_difference == 0.0


def test_boxes_as_small_as_rounding_are_compared_by_their_corners() -> None:
    # One of the Open Images detector's, in both runtimes: it lies at the border, and is a hundredth of a pixel wide.
    corners = [[0.00440176, 0.01027607, 0.0044019, 0.01027619], [0.00440175, 0.01027605, 0.00440189, 0.01027617]]
    one, two = (Detections(np.zeros(1, int), np.array([box]), np.array([0.16]), np.ones(1, int)) for box in corners)
    assert compare(one, two, 1).matched == 1.0
    elsewhere = Detections(two.image_index, two.boxes + 0.001, two.scores, two.classes)
    assert compare(one, elsewhere, 1).matched == 0.0


@pytest.mark.parametrize(
    "change",
    [
        lambda found: Detections(found.image_index, found.boxes, found.scores, found.classes % 2 + 1),
        lambda found: Detections(found.image_index, found.boxes * 0.8, found.scores, found.classes),
        lambda found: Detections(found.image_index, found.boxes, found.scores * 0.7, found.classes),
        lambda found: Detections(29 - found.image_index, found.boxes, found.scores, found.classes),
    ],
    ids=["class", "box", "score", "image"],
)
def test_notices_other_detections(change: Callable[[Detections], Detections], scenes: Scenes) -> None:
    _, found = scenes(0)
    assert compare(found, change(found), 30).matched < 0.7


def test_additional_and_missing_detections_count_alike(scenes: Scenes) -> None:
    _, found = scenes(0)
    half = np.arange(len(found.scores)) % 2 == 0
    fewer = Detections(found.image_index[half], found.boxes[half], found.scores[half], found.classes[half])
    assert compare(found, fewer, 30).matched == compare(fewer, found, 30).matched < 0.8


def test_two_silent_runtimes_are_equal() -> None:
    nothing = Detections(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    assert compare(nothing, nothing, 5).matched == 1.0


def test_one_silent_runtime_is_not(scenes: Scenes) -> None:
    _, found = scenes(0)
    nothing = Detections(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    assert compare(found, nothing, 30).matched == 0.0
