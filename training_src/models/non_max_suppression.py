# SPDX-License-Identifier: Apache-2.0
"""From scored boxes to detections: of boxes that overlap, the best of each class is left."""

from typing import NamedTuple

import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.config import BatchNonMaxSuppression


class Detections(NamedTuple):
    """A batch's detections, best first, padded with zeros to `max_total_detections`.

    Attributes:
        boxes: `(batch, detections, 4)`: ymin, xmin, ymax, xmax, normalised and clipped to the image.
        scores: `(batch, detections)`.
        classes: `(batch, detections)` float32, from 0.
        count: `(batch,)` int32: how many are no padding.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    count: tf.Tensor


def non_max_suppression(config: BatchNonMaxSuppression, boxes: tf.Tensor, scores: tf.Tensor) -> Detections:
    """Greedy suppression, a class at a time.

    Args:
        config: Thresholds and limits.
        boxes: `(batch, anchors, 4)`: ymin, xmin, ymax, xmax normalised, clipped to the image: the API clips before it
            compares boxes.
        scores: `(batch, anchors, classes)`, after the sigmoid.
    """
    kept = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        scores,
        max_output_size_per_class=config.max_detections_per_class,
        max_total_size=config.max_total_detections,
        iou_threshold=config.iou_threshold,
        score_threshold=config.score_threshold,
        clip_boxes=False,
    )
    return Detections(kept.nmsed_boxes, kept.nmsed_scores, kept.nmsed_classes, kept.valid_detections)
