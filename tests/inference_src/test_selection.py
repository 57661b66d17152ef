# SPDX-License-Identifier: Apache-2.0
"""Detections that a client does not want are left out, the rest moves up, and its numbers do not change."""

import numpy as np
import pytest

from inference_src.detections import Detections
from inference_src.selection import Selection


@pytest.fixture
def detections() -> Detections:
    """Four detections and two rows of padding, one of which looks good."""
    return Detections(
        boxes=np.arange(24, dtype=np.float32).reshape(6, 4),
        scores=np.array([0.9, 0.5, 0.7, 0.2, 0.95, 0], np.float32),
        classes=np.array([1, 2, 1, 4, 1, 0], np.int32),
        count=4,
        anchor_indices=np.arange(10, 16, dtype=np.int32),
        multiclass_scores=np.arange(12, dtype=np.float32).reshape(6, 2),
    )


@pytest.mark.parametrize(
    ("selection", "rows"),
    [
        (Selection(threshold=0.5), [0, 1, 2]),
        (Selection(threshold=0.51), [0, 2]),
        (Selection(threshold=0.5, thresholds={4: 0.1, 1: 0.8}), [0, 1, 3]),
        (Selection(classes=frozenset({2, 4})), [1, 3]),
        (Selection(most=2), [0, 2]),
        (Selection(most=1, classes=frozenset({2, 4})), [1]),
        (Selection(most=100), [0, 1, 2, 3]),
        (Selection(threshold=1.0), []),
    ],
)
def test_what_is_wanted_moves_up(detections: Detections, selection: Selection, rows: list[int]) -> None:
    selected = selection.of(detections)
    assert selected.count == len(rows)
    for name in ("boxes", "scores", "classes", "anchor_indices", "multiclass_scores"):
        before, after = getattr(detections, name), getattr(selected, name)
        assert (after.shape, after.dtype) == (before.shape, before.dtype), name
        np.testing.assert_array_equal(after[: len(rows)], before[rows])
        assert not after[len(rows) :].any(), name


def test_whoever_wants_all_gets_the_same(detections: Detections) -> None:
    assert Selection().of(detections) is detections


def test_a_score_at_the_threshold_stays() -> None:
    """0.4 is no float32: the score that the model writes as 0.4 is not below it."""
    found = Detections(np.zeros((1, 4), np.float32), np.array([0.4], np.float32), np.ones(1, np.int32), 1)
    assert Selection(threshold=0.4).of(found).count == 1
