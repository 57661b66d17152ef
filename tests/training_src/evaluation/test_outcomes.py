# SPDX-License-Identifier: Apache-2.0
"""Hits, misses and false alarms of images, and which images are shown."""

import numpy as np

from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.outcomes import examples, outcomes

LEFT, RIGHT, LOW = [0.1, 0.1, 0.4, 0.4], [0.1, 0.6, 0.4, 0.9], [0.6, 0.1, 0.9, 0.4]


def test_each_box_has_one_fate() -> None:
    truth = GroundTruth.from_images([(100, 100)], [[LEFT, RIGHT]], [[1, 2]])
    found = Detections.from_images([[LEFT, LEFT, RIGHT, LOW]], [[0.6, 0.9, 0.8, 0.7]], [[1, 1, 1, 2]])
    (one,) = outcomes(truth, found, 0.5)
    assert (one.hits, one.found) == ((1,), (0,))  # the surer of the two on the left
    assert one.missed == (1,)  # the right one was taken for another class
    assert one.false_alarms == (2, 3, 0)
    assert one.errors == 4


def test_detections_below_the_score_and_on_ignored_boxes_count_as_nothing() -> None:
    truth = GroundTruth.from_images([(100, 100)], [[LEFT, RIGHT]], [[1, 1]], [[False, True]])
    found = Detections.from_images([[LEFT, RIGHT]], [[0.4, 0.9]], [[1, 1]])
    (one,) = outcomes(truth, found, 0.5)
    assert (one.hits, one.missed, one.false_alarms) == ((), (0,), ())


def test_images_without_boxes_have_outcomes_too() -> None:
    truth = GroundTruth.from_images([(100, 100)] * 2, [np.zeros((0, 4)), [LEFT]], [[], [1]])
    found = Detections.from_images([[LEFT], np.zeros((0, 4))], [[0.9], []], [[1], []])
    empty, unseen = outcomes(truth, found, 0.5)
    assert (empty.false_alarms, empty.missed) == ((0,), ())
    assert (unseen.false_alarms, unseen.missed) == ((), (0,))


def test_examples_are_the_worst_and_the_best_and_none_twice() -> None:
    boxes = [[LEFT, RIGHT], [LEFT], [LEFT, RIGHT], [LEFT]]
    truth = GroundTruth.from_images([(100, 100)] * 4, boxes, [[1] * len(one) for one in boxes])
    seen = [[LOW], [LEFT], [LEFT, RIGHT], [LEFT, LOW]]
    found = Detections.from_images(seen, [[0.9] * len(one) for one in seen], [[1] * len(one) for one in seen])
    shown = examples(outcomes(truth, found, 0.5), each=1)
    assert [one.image for one in (*shown.missed, *shown.false_alarms, *shown.best)] == [0, 3, 2]
