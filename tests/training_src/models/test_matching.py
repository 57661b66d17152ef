# SPDX-License-Identifier: Apache-2.0
"""Which anchor answers for which box."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from training_src.models.config.matching import ArgMaxMatcher, FasterRcnnBoxCoder
from training_src.models.matching import IGNORED, NEGATIVE, ClassEncoding, assign_targets, iou, match_anchors

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


@pytest.mark.parametrize(("lower", "low", "between"), [(True, NEGATIVE, IGNORED), (False, IGNORED, NEGATIVE)])
def test_a_similarity_at_a_threshold_has_reached_it(lower: bool, low: int, between: int) -> None:
    matcher = ArgMaxMatcher(
        matched_threshold=0.5,
        unmatched_threshold=0.25,
        negatives_lower_than_unmatched=lower,
        force_match_for_each_row=False,
    )
    similarity = tf.constant([[[0.5, 0.49, 0.25, 0.24, 0.1], [0.1, 0.2, 0.1, 0.1, 0.75]]])
    match = match_anchors(matcher, similarity, tf.constant([[True, True]]))
    np.testing.assert_array_equal(match, [[0, between, between, low, 1]])


def test_of_two_boxes_with_the_same_favourite_the_first_has_it() -> None:
    matcher = ArgMaxMatcher(matched_threshold=0.5, unmatched_threshold=0.5, force_match_for_each_row=True)
    similarity = tf.constant([[[0.3, 0.1, 0.6], [0.2, 0.1, 0.7], [0.2, 0.4, 0.1]]])
    for valid, expected in (([True, True, True], [-1, 2, 0]), ([False, True, True], [-1, 2, 1])):
        match = match_anchors(matcher, similarity, tf.constant([valid]))
        np.testing.assert_array_equal(match, [expected])


def test_what_is_empty_overlaps_nothing() -> None:
    boxes = tf.constant([[[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]]])
    np.testing.assert_array_equal(iou(boxes, boxes), [[[0, 0, 0], [0, 1, 0], [0, 0, 1]]])


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
        ClassEncoding(num_classes=3),
    )
    np.testing.assert_array_equal(targets.match, [[0, NEGATIVE, NEGATIVE], [NEGATIVE] * 3])
    np.testing.assert_array_equal(targets.columns, [[2, -1, -1], [-1] * 3])
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
        ClassEncoding(num_classes=1),
    )
    np.testing.assert_array_equal(targets.match, [[0, IGNORED]])
    np.testing.assert_array_equal(targets.class_weights, [[1, 0]])


def test_targets_equal_the_reference(functions: tuple[dict[str, Any], dict[str, Any]]) -> None:
    parameters, arrays = functions
    given = {key.split("/")[1]: array for key, array in arrays.items() if key.startswith("target_assigner/")}
    thresholds = ("matched_threshold", "unmatched_threshold", "force_match_for_each_row")
    matcher = ArgMaxMatcher(**{name: parameters["target_assigner"][name] for name in thresholds})
    labels, weights = given["groundtruth_labels"], given["groundtruth_weights"]
    targets = assign_targets(
        matcher,
        FasterRcnnBoxCoder(),
        tf.constant(given["anchors"]),
        tf.constant(given["groundtruth_boxes"][None]),
        tf.constant(labels.argmax(axis=1)[None].astype(np.int32) - 1),
        tf.constant(weights[None]),
        ClassEncoding(num_classes=labels.shape[1] - 1, background_as_zeros=False),
    )
    np.testing.assert_array_equal(targets.match[0], given["match"])
    np.testing.assert_array_equal(tf.one_hot(targets.columns[0], labels.shape[1]), given["cls_targets"])
    np.testing.assert_allclose(targets.boxes[0], given["reg_targets"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(targets.box_weights[0], given["reg_weights"])
    np.testing.assert_array_equal(targets.class_weights[0, :, None] * np.ones(labels.shape[1]), given["cls_weights"])


def test_a_box_counts_by_its_weight_and_padding_is_of_no_class() -> None:
    anchors = tf.constant([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    boxes = tf.constant([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]], [[0.0] * 4] * 2])
    weights = tf.constant([[0.25, 1.0], [0.0, 0.0]])
    classes = tf.constant([[2, 0], [0, 0]])
    matcher = ArgMaxMatcher(ignore_thresholds=True)
    truth = (anchors, boxes, classes, weights)
    targets = assign_targets(matcher, FasterRcnnBoxCoder(), *truth, ClassEncoding(num_classes=3))
    np.testing.assert_array_equal(targets.match, [[0, 1], [0, 0]])
    np.testing.assert_array_equal(targets.columns, [[3, 1], [-1, -1]])
    np.testing.assert_array_equal(targets.class_weights, [[0.25, 1], [0, 0]])
    np.testing.assert_array_equal(targets.box_weights, [[0.25, 1], [0, 0]])
    np.testing.assert_array_equal(targets.boxes[0], np.zeros((2, 4)))
    # Each image may have anchors of its own.
    own = (tf.stack([anchors, anchors[::-1]]), tf.stack([boxes[0]] * 2), tf.stack([classes[0]] * 2))
    targets = assign_targets(ArgMaxMatcher(), FasterRcnnBoxCoder(), *own, tf.ones([2, 2]), ClassEncoding(3))
    np.testing.assert_array_equal(targets.match, [[0, 1], [1, 0]])


def test_the_background_may_have_a_column() -> None:
    assert [ClassEncoding(3, background_column=given).columns for given in (True, False)] == [4, 3]


def test_negatives_count_what_the_config_says_and_thresholds_can_be_ignored() -> None:
    anchors = tf.constant([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    boxes, classes, weights = tf.constant([[[0.0, 0.0, 0.5, 0.4]]]), tf.constant([[1]]), tf.constant([[1.0]])
    encoding = ClassEncoding(num_classes=2, background_column=False, negative_weight=0.25)
    truth = (boxes, classes, weights, encoding)
    targets = assign_targets(ArgMaxMatcher(), FasterRcnnBoxCoder(), anchors, *truth)
    np.testing.assert_array_equal(targets.class_weights, [[1, 0.25]])
    np.testing.assert_array_equal(targets.columns, [[1, -1]])
    targets = assign_targets(ArgMaxMatcher(ignore_thresholds=True), FasterRcnnBoxCoder(), anchors, *truth)
    np.testing.assert_array_equal(targets.match, [[0, 0]])
