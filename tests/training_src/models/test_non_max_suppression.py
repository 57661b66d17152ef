# SPDX-License-Identifier: Apache-2.0
"""Of boxes that overlap, the best of each class is left."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from training_src.models import non_max_suppression as module
from training_src.models.config.decoding import decode
from training_src.models.config.post_processing import BatchNonMaxSuppression, PostProcessing
from training_src.models.errors import ConfigError
from training_src.models.non_max_suppression import clip_windows, convert_scores, non_max_suppression
from training_src.text_format import Message, parse

WHOLE = tf.constant([[0.0, 0.0, 1.0, 1.0]])
CASES = ["nms_ssd", "nms_tight", "nms_class_boxes", "nms_outside_clip", "nms_static", "nms_soft"]


@pytest.mark.parametrize("name", CASES)
def test_detections_equal_the_reference_in_its_order(
    functions: tuple[dict[str, Any], dict[str, Any]], name: str
) -> None:
    parameters, arrays = functions
    case = {key.split("/")[1]: array for key, array in arrays.items() if key.startswith(f"{name}/")}
    config = decode(PostProcessing, parse(parameters[name]["config"]))
    scores = convert_scores(config, tf.constant(case["scores_in"]))
    np.testing.assert_allclose(scores, case["scores"], rtol=1e-5)
    given = (tf.constant(case[part]) for part in ("boxes", "scores", "clip_window"))
    kept = non_max_suppression(config.batch_non_max_suppression, *given)
    np.testing.assert_array_equal(kept.count, case["num_detections"])
    for image, count in enumerate(case["num_detections"]):
        for part, expected in (("indices", "index"), ("classes", "classes"), ("boxes", "boxes"), ("scores", "scores")):
            actual = getattr(kept, part)[image, :count]
            np.testing.assert_allclose(actual, case[f"nmsed_{expected}"][image, :count], rtol=1e-5, atol=1e-6)
        assert not kept.scores[image, count:].numpy().any()


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    own_boxes=st.booleans(),
    per_class=st.integers(1, 8),
    total=st.integers(1, 30),
    best_pairs=st.sampled_from([8, 1024]),
)
def test_the_quick_way_equals_a_class_at_a_time(
    seed: int, own_boxes: bool, per_class: int, total: int, best_pairs: int
) -> None:
    rng = np.random.default_rng(seed)
    # Coarse numbers make ties, among boxes and among scores.
    corners = rng.integers(0, 6, (2, 40, 3 if own_boxes else 1, 2)) / 10
    boxes = tf.constant(np.concatenate([corners, corners + rng.integers(0, 5, corners.shape) / 8], -1), tf.float32)
    scores = tf.constant(rng.integers(0, 8, (2, 40, 3)) / 7, tf.float32)
    config = BatchNonMaxSuppression(
        score_threshold=0.2, iou_threshold=0.4, max_detections_per_class=per_class, max_total_detections=total
    )
    window = tf.constant([[0.0, 0.0, 0.8, 1.0], [0.0, 0.0, 1.0, 0.9]])
    with patch.object(module, "BEST_PAIRS", best_pairs):
        quick = non_max_suppression(config, boxes, scores, window)
    slow = module._finished(config, module._suppressed_singly(config, boxes, scores), window)
    for ours, theirs in zip(quick, slow, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_detections_beyond_the_best_pairs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    config = BatchNonMaxSuppression(iou_threshold=0.5, max_total_detections=3)
    # The forty best boxes are one object's; what is left of the others is worse.
    scores = tf.constant([[[0.9 - 0.001 * index] for index in range(40)] + [[0.2], [0.1]]])
    boxes = tf.constant([[[[0.0, 0.0, 0.5, 0.5]]] * 40 + [[[0.5, 0.5, 1.0, 1.0]], [[0.0, 0.5, 0.5, 1.0]]]])
    monkeypatch.setattr(module, "BEST_PAIRS", 8)
    kept = non_max_suppression(config, boxes, scores, WHOLE)
    np.testing.assert_array_equal(kept.indices, [[0, 40, 41]])


def test_a_box_of_another_class_is_not_suppressed_unless_classes_do_not_count() -> None:
    config = BatchNonMaxSuppression(score_threshold=0.1, iou_threshold=0.5, max_total_detections=5)
    boxes = tf.constant([[[[0.1, 0.1, 0.5, 0.5]], [[0.1, 0.1, 0.5, 0.52]], [[0.6, 0.6, 0.9, 0.9]]]])
    scores = tf.constant([[[0.9, 0.0], [0.8, 0.7], [0.05, 0.3]]])
    kept = non_max_suppression(config, boxes, scores, WHOLE)
    np.testing.assert_array_equal(kept.count, [3])
    np.testing.assert_allclose(kept.scores[0], [0.9, 0.7, 0.3, 0, 0])
    np.testing.assert_array_equal(kept.classes[0, :3], [0, 1, 1])
    kept = non_max_suppression(replace(config, use_class_agnostic_nms=True), boxes, scores, WHOLE)
    np.testing.assert_array_equal(kept.indices[0, :2], [0, 2])
    np.testing.assert_array_equal(kept.classes[0, :2], [0, 1])
    np.testing.assert_array_equal(kept.count, [2])


def test_windows_are_the_images_without_padding() -> None:
    windows = clip_windows(tf.constant([[30, 40, 3], [60, 20, 3]]), tf.constant([2, 60, 40, 3]))
    np.testing.assert_allclose(windows, [[0, 0, 0.5, 1], [0, 0, 1, 0.5]])


def test_boxes_can_stay_in_the_padded_images_frame() -> None:
    config = BatchNonMaxSuppression(change_coordinate_frame=False, max_total_detections=1)
    boxes, window = tf.constant([[[[0.1, 0.1, 0.9, 0.4]]]]), tf.constant([[0.0, 0.0, 0.5, 1.0]])
    kept = non_max_suppression(config, boxes, tf.constant([[[0.9]]]), window)
    np.testing.assert_allclose(kept.boxes, [[[0.1, 0.1, 0.5, 0.4]]])


def test_settings_that_no_runtime_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="use_combined_nms: true is not supported, only false is"):
        decode(BatchNonMaxSuppression, parse("use_combined_nms: true"))
    with pytest.raises(ConfigError, match="max_classes_per_detection: 2 is not supported, only 1 is"):
        decode(BatchNonMaxSuppression, Message({"max_classes_per_detection": [2]}))
