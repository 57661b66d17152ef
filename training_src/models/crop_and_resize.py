# SPDX-License-Identifier: Apache-2.0
"""Region-of-interest features: boxes cut out of a feature map and brought to one size by bilinear interpolation.

As RoIAlign, https://arxiv.org/abs/1703.06870, section 3, with one sample a cell; corner samples lie on the box's
corners, cells are points. OD API `spatial_transform_ops`.
"""

import tensorflow as tf


def crop_and_resize(features: tf.Tensor, boxes: tf.Tensor, size: int, zeros_around: bool) -> tf.Tensor:
    """Crops of every box.

    Args:
        features: `(batch, height, width, channels)`.
        boxes: `(batch, n, 4)`: ymin, xmin, ymax, xmax, normalised.
        size: Height and width of a crop.
        zeros_around: What a sample off the map is: interpolated between the map and zeros around it, as the API's
            `matmul_crop_and_resize` does; or 0, as TensorFlow's operation has it.

    Returns:
        `(batch * n, size, size, channels)`.
    """
    if zeros_around:
        features, boxes = _with_border(features, boxes)
    batch, count = tf.shape(boxes)[0], tf.shape(boxes)[1]
    image = tf.repeat(tf.range(batch), count)
    return tf.image.crop_and_resize(features, tf.reshape(boxes, [-1, 4]), image, [size, size])


def _with_border(features: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A map with a border of zeros, and the boxes in its coordinates."""
    last = tf.cast(tf.tile(tf.shape(features)[1:3] - 1, [2]), tf.float32)
    return tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]]), (boxes * last + 1.0) / (last + 2.0)
