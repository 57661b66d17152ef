# SPDX-License-Identifier: Apache-2.0
"""Kinds of errors, each made by hand, and what mending one brings."""

from collections.abc import Callable

import pytest

from training_src.evaluation.assignment import assign
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.error_types import ErrorTypes, error_types

Scenes = Callable[..., tuple[GroundTruth, Detections]]
Box = list[float]

LEFT, RIGHT = [0.0, 0.0, 1.0, 0.4], [0.0, 0.6, 1.0, 1.0]
HALF_OF_LEFT = [0.0, 0.0, 0.4, 0.4]  # IoU 0.4
NOWHERE = [0.0, 0.45, 0.2, 0.55]


def told(boxes: list[Box], scores: list[float], classes: list[int], score: float = 0.5) -> ErrorTypes:
    """Errors against one image with LEFT of class 1 and RIGHT of class 2."""
    truth = GroundTruth.from_images([(100, 100)], [[LEFT, RIGHT]], [[1, 2]])
    detections = Detections.from_images([boxes], [scores], [classes])
    return error_types(truth, detections, assign(truth, detections), score)


@pytest.mark.parametrize(
    ("box", "label", "kind"),
    [
        (LEFT, 2, "classification"),
        (HALF_OF_LEFT, 1, "localisation"),
        (HALF_OF_LEFT, 2, "both"),
        (NOWHERE, 1, "background"),
        (RIGHT, 2, "duplicate"),
    ],
)
def test_each_kind_is_told_from_the_others(box: Box, label: int, kind: str) -> None:
    found = told([RIGHT, box], [0.9, 0.8], [2, label])
    meant_for_left = kind in ("classification", "localisation")
    assert {name: count for name, count in found.counts.items() if count} == {kind: 1} | (
        {} if meant_for_left else {"missed": 1}
    )
    assert found.by_class[label][kind] == 1


def test_a_badly_placed_box_is_told_before_one_of_the_wrong_class() -> None:
    # Half of the left box's own class, and all of a box of another class.
    truth = GroundTruth.from_images([(100, 100)], [[LEFT, HALF_OF_LEFT]], [[1, 2]])
    detections = Detections.from_images([[HALF_OF_LEFT]], [[0.9]], [[1]])
    counts = error_types(truth, detections, assign(truth, detections), 0.5).counts
    assert (counts["localisation"], counts["classification"], counts["missed"]) == (1, 0, 1)


def test_only_what_is_sure_enough_is_counted() -> None:
    found = told([RIGHT, LEFT], [0.9, 0.4], [2, 2])
    assert (found.counts["classification"], found.counts["missed"]) == (0, 1)
    assert found.by_class[1]["missed"] == 1


def test_gains_are_what_mending_one_kind_brings() -> None:
    # Class 2 is whole; class 1 has nothing but a badly placed box, so all of its AP is to be gained by placing it.
    assert told([RIGHT, HALF_OF_LEFT], [0.9, 0.8], [2, 1]).gains == pytest.approx(
        {"classification": 0, "localisation": 0.5, "both": 0, "duplicate": 0, "background": 0, "missed": 0}
    )
    # A false alarm that is surer than the right one halves the precision of class 2.
    assert told([NOWHERE, RIGHT], [0.9, 0.8], [2, 2]).gains == pytest.approx(
        {"classification": 0, "localisation": 0, "both": 0, "duplicate": 0, "background": 0.25, "missed": 0.5}
    )
    # What was taken for class 2 becomes class 1's, and no longer stands before class 2's own.
    assert told([LEFT, RIGHT], [0.9, 0.8], [2, 2]).gains["classification"] == pytest.approx(0.75)


def test_of_two_for_the_same_box_only_the_surer_one_is_mended() -> None:
    found = told([HALF_OF_LEFT, HALF_OF_LEFT, RIGHT], [0.9, 0.8, 0.7], [1, 1, 2])
    assert found.counts["localisation"] == 2
    assert found.gains["localisation"] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(3))
def test_every_wrong_detection_has_one_kind(scenes: Scenes, seed: int) -> None:
    truth, detections = scenes(seed)
    found = assign(truth, detections)
    told_apart = error_types(truth, detections, found, 0.0)
    wrong = int((found.counted & ~found.right).sum())
    assert sum(count for name, count in told_apart.counts.items() if name != "missed") == wrong
    assert all(gain is not None and gain >= 0 for gain in told_apart.gains.values())


def test_without_a_box_nothing_is_known_of_gains() -> None:
    truth = GroundTruth.from_images([(10, 10)], [[]], [[]])
    detections = Detections.from_images([[LEFT]], [[0.9]], [[1]])
    found = error_types(truth, detections, assign(truth, detections), 0.5)
    assert found.counts["background"] == 1
    assert set(found.gains.values()) == {None}
