# SPDX-License-Identifier: Apache-2.0
"""From scored boxes to detections: of boxes that overlap, the best of each class is left."""

from typing import NamedTuple

import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.config.post_processing import BatchNonMaxSuppression


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


def non_max_suppression(
    config: BatchNonMaxSuppression,
    boxes: tf.Tensor,
    scores: tf.Tensor,
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
) -> Detections:
    """Greedy suppression, a class at a time. As in the API, boxes are compared whole and cut at the window afterwards.

    Args:
        config: Thresholds and limits.
        boxes: `(batch, anchors, 4)`: ymin, xmin, ymax, xmax normalised.
        scores: `(batch, anchors, classes)`, after the sigmoid.
        window: ymin, xmin, ymax, xmax; by default the image. Boxes outside it are left out.
    """
    kept = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        scores,
        max_output_size_per_class=config.max_detections_per_class,
        max_total_size=max(config.max_detections_per_class * scores.shape[2], config.max_total_detections),
        iou_threshold=config.iou_threshold,
        score_threshold=config.score_threshold,
        clip_boxes=False,
    )
    ymin, xmin, ymax, xmax = window
    clipped = tf.clip_by_value(kept.nmsed_boxes, [ymin, xmin, ymin, xmin], [ymax, xmax, ymax, xmax])
    inside = (clipped[..., 2] > clipped[..., 0]) & (clipped[..., 3] > clipped[..., 1])
    present = inside & tf.sequence_mask(kept.valid_detections, tf.shape(inside)[1])
    best, index = tf.math.top_k(tf.where(present, kept.nmsed_scores, 0.0), config.max_total_detections)
    count = tf.minimum(tf.reduce_sum(tf.cast(present, tf.int32), axis=1), config.max_total_detections)
    shown = tf.sequence_mask(count, config.max_total_detections, tf.float32)
    return Detections(
        boxes=tf.gather(clipped, index, batch_dims=1) * shown[..., None],
        scores=best,
        classes=tf.gather(kept.nmsed_classes, index, batch_dims=1) * shown,
        count=count,
    )
