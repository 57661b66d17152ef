# SPDX-License-Identifier: Apache-2.0
"""Precision and recall over the score, by hand and against COCO's own."""

from collections.abc import Callable

import numpy as np
import pytest

from training_src.evaluation.assignment import assign
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import evaluate
from training_src.evaluation.curves import SCORES, average_precision, score_curve

Scenes = Callable[..., tuple[GroundTruth, Detections]]


def test_counts_what_is_as_sure_or_surer() -> None:
    curve = score_curve(np.array([0.9, 0.5, 0.2]), np.array([True, False, True]), 4)
    at = {score: int(np.flatnonzero(np.isclose(SCORES, score))[0]) for score in (0.2, 0.5, 0.51, 0.91)}
    assert curve.detections[list(at.values())].tolist() == [3, 2, 1, 0]
    assert curve.right[list(at.values())].tolist() == [2, 1, 1, 0]
    assert curve.precision[at[0.2]] == pytest.approx(2 / 3)
    assert curve.recall[at[0.2]] == 0.5
    assert curve.f1[at[0.2]] == pytest.approx(2 * 2 / (3 + 4))
    assert np.isnan(curve.precision[at[0.91]])
    assert curve.recall[at[0.91]] == 0


def test_without_a_box_to_be_found_only_precision_is_known() -> None:
    curve = score_curve(np.array([0.9]), np.array([False]), 0)
    assert curve.precision[0] == 0
    assert np.isnan(curve.recall).all()
    assert np.isnan(curve.f1).all()


def test_average_precision_by_hand() -> None:
    # Right, wrong, right of two boxes: precision 1 up to recall 0.5, then 2/3: 51 and 50 of the 101 recalls.
    found = average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 2)
    assert found == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision(np.zeros(0), np.zeros(0, bool), 2) == 0
    assert average_precision(np.zeros(0), np.zeros(0, bool), 0) is None


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_cocos(scenes: Scenes, labels: dict[int, str], seed: int) -> None:
    truth, detections = scenes(seed)
    found = assign(truth, detections)
    for one in evaluate(truth, detections, labels).per_class:
        mine = (detections.classes == one.id) & found.counted
        ours = average_precision(detections.scores[mine], found.right[mine], one.support)
        assert ours == pytest.approx(one.values["AP50"], abs=1e-9)
