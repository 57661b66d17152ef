# SPDX-License-Identifier: Apache-2.0
"""Boxes as offsets from anchors and back. Faster R-CNN, https://arxiv.org/abs/1506.01497, section 3.1.2."""

import tensorflow as tf

from training_src.models.config.matching import FasterRcnnBoxCoder

# Keeps the logarithm finite where an unmatched anchor's target box is empty.
EPSILON = 1e-8


def encode(config: FasterRcnnBoxCoder, boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Offsets ty, tx, th, tw that lead from anchors to boxes.

    Args:
        config: The factors by which each offset is multiplied.
        boxes: Shape `(..., 4)`: ymin, xmin, ymax, xmax.
        anchors: The same, of a shape that broadcasts.
    """
    y, x, height, width = _centre_and_size(boxes)
    anchor_y, anchor_x, anchor_height, anchor_width = _centre_and_size(anchors)
    anchor_height, anchor_width = anchor_height + EPSILON, anchor_width + EPSILON
    return tf.stack(
        [
            (y - anchor_y) / anchor_height * config.y_scale,
            (x - anchor_x) / anchor_width * config.x_scale,
            tf.math.log((height + EPSILON) / anchor_height) * config.height_scale,
            tf.math.log((width + EPSILON) / anchor_width) * config.width_scale,
        ],
        axis=-1,
    )


def decode(config: FasterRcnnBoxCoder, codes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The boxes to which offsets lead: the inverse of `encode`.

    Args:
        config: The factors by which each offset was multiplied.
        codes: Shape `(..., 4)`: ty, tx, th, tw.
        anchors: Shape that broadcasts: ymin, xmin, ymax, xmax.
    """
    ty, tx, th, tw = tf.unstack(codes, axis=-1)
    anchor_y, anchor_x, anchor_height, anchor_width = _centre_and_size(anchors)
    half_height = tf.exp(th / config.height_scale) * anchor_height / 2
    half_width = tf.exp(tw / config.width_scale) * anchor_width / 2
    y = ty / config.y_scale * anchor_height + anchor_y
    x = tx / config.x_scale * anchor_width + anchor_x
    return tf.stack([y - half_height, x - half_width, y + half_height, x + half_width], axis=-1)


def _centre_and_size(boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=-1)
    height, width = ymax - ymin, xmax - xmin
    return ymin + height / 2, xmin + width / 2, height, width
