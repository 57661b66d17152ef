# SPDX-License-Identifier: Apache-2.0
"""Which anchor answers for which box."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.config.matching import ArgMaxMatcher, FasterRcnnBoxCoder
from training_src.models.matching import IGNORED, NEGATIVE, assign_targets, iou, match_anchors

MATCHERS = [
    "matcher_05_force",
    "matcher_05_noforce",
    "matcher_07_03_force",
    "matcher_07_03_negatives_not_lower",
    "matcher_05_force_validrows",
]


@pytest.mark.parametrize("name", MATCHERS)
def test_matches_equal_the_reference(functions: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    parameters, arrays = functions
    settings = {key: value for key, value in parameters[name].items() if key != "use_matmul_gather"}
    similarity = arrays[f"{name}/similarity"]
    valid = arrays.get(f"{name}/valid_rows", np.ones(len(similarity), bool))
    match = match_anchors(ArgMaxMatcher(**settings), tf.constant(similarity[None]), tf.constant(valid[None]))
    np.testing.assert_array_equal(match[0], arrays[f"{name}/match"])


def test_iou_equals_the_reference(functions: tuple[dict[str, Any], dict[str, Any]]) -> None:
    _, arrays = functions
    overlap = iou(tf.constant(arrays["iou/boxes1"][None]), tf.constant(arrays["iou/boxes2"][None]))
    np.testing.assert_allclose(overlap[0], arrays["iou/iou"], rtol=1e-5, atol=1e-6)


def test_padding_changes_nothing_and_an_empty_image_has_only_negatives() -> None:
    anchors = tf.constant([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0]])
    boxes = tf.constant([[[0.0, 0.0, 0.5, 0.45], [0.0] * 4], [[0.0] * 4, [0.0] * 4]])
    targets = assign_targets(
        ArgMaxMatcher(force_match_for_each_row=True),
        FasterRcnnBoxCoder(),
        anchors,
        boxes,
        tf.constant([[1, 0], [0, 0]]),
        tf.constant([[1.0, 0.0], [0.0, 0.0]]),
        num_classes=3,
    )
    np.testing.assert_array_equal(targets.match, [[0, NEGATIVE, NEGATIVE], [NEGATIVE] * 3])
    np.testing.assert_array_equal(targets.classes[0], [[0, 0, 1, 0], [0] * 4, [0] * 4])
    np.testing.assert_array_equal(targets.class_weights, np.ones((2, 3)))
    np.testing.assert_array_equal(targets.box_weights, [[1, 0, 0], [0, 0, 0]])
    assert np.isfinite(targets.boxes).all()


def test_anchors_between_the_thresholds_count_for_nothing() -> None:
    anchors = tf.constant([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 1.0]])
    targets = assign_targets(
        ArgMaxMatcher(matched_threshold=0.7, unmatched_threshold=0.3),
        FasterRcnnBoxCoder(),
        anchors,
        tf.constant([[[0.0, 0.0, 0.5, 0.5]]]),
        tf.constant([[0]]),
        tf.constant([[1.0]]),
        num_classes=1,
    )
    np.testing.assert_array_equal(targets.match, [[0, IGNORED]])
    np.testing.assert_array_equal(targets.class_weights, [[1, 0]])
