# SPDX-License-Identifier: Apache-2.0
"""Of boxes that overlap, the best of each class is left."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.config.decoding import decode
from training_src.models.config.post_processing import BatchNonMaxSuppression, PostProcessing
from training_src.models.errors import ConfigError
from training_src.models.non_max_suppression import non_max_suppression
from training_src.models.text_format import Message, parse


@pytest.mark.parametrize("name", ["nms_ssd", "nms_tight", "nms_outside_clip"])
def test_detections_equal_the_reference(functions: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    parameters, arrays = functions
    given = {key.split("/")[1]: array for key, array in arrays.items() if key.startswith(f"{name}/")}
    config = decode(PostProcessing, parse(parameters[name]["config"])).batch_non_max_suppression
    for image, count in enumerate(given["num_detections"]):
        ymin, xmin, ymax, xmax = (float(edge) for edge in given["clip_window"][image])
        boxes, scores = tf.constant(given["boxes"][image, None, :, 0]), tf.constant(given["scores"][image, None])
        found = non_max_suppression(config, boxes, scores, (ymin, xmin, ymax, xmax))
        assert found.count[0] == count
        # The reference gives boxes in the window's coordinates.
        relative = (found.boxes[0] - [ymin, xmin] * 2) / ([ymax - ymin, xmax - xmin] * 2)
        ours = _rows(relative, found.scores[0], found.classes[0], count)
        boxes, scores, classes = (given[f"nmsed_{part}"][image] for part in ("boxes", "scores", "classes"))
        np.testing.assert_allclose(ours, _rows(boxes, scores, classes, count), rtol=1e-5, atol=1e-6)


def _rows(boxes: Any, scores: Any, classes: Any, count: int) -> np.ndarray[Any, Any]:
    """Detections in an order that does not depend on how ties were broken."""
    rows = np.concatenate([np.asarray(scores)[:, None], np.asarray(classes)[:, None], np.asarray(boxes)], axis=1)
    rows = rows[:count]
    return rows[np.lexsort(np.round(rows, 4).T[::-1])]


def test_a_box_of_another_class_is_not_suppressed() -> None:
    config = BatchNonMaxSuppression(score_threshold=0.1, iou_threshold=0.5, max_total_detections=5)
    boxes = tf.constant([[[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.52], [0.6, 0.6, 0.9, 0.9]]])
    scores = tf.constant([[[0.9, 0.0], [0.8, 0.7], [0.05, 0.3]]])
    found = non_max_suppression(config, boxes, scores)
    np.testing.assert_array_equal(found.count, [3])
    np.testing.assert_allclose(found.scores[0], [0.9, 0.7, 0.3, 0, 0])
    np.testing.assert_array_equal(found.classes[0, :3], [0, 1, 1])


def test_settings_that_no_runtime_has_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"soft_nms_sigma: 0\.5 is not supported"):
        decode(BatchNonMaxSuppression, Message({"soft_nms_sigma": [0.5]}))
