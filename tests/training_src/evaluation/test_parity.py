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
