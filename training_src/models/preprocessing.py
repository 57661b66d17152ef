# SPDX-License-Identifier: Apache-2.0
"""From pixels to a network's input: resized and scaled to -1..1, as the OD API does it."""

import tensorflow as tf  # type: ignore[import-untyped]


def preprocess(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """A batch of images as the network takes it.

    Args:
        images: `(batch, h, w, 3)`, RGB of 0..255, any numeric dtype.
        height: The network's input, in pixels.
        width: The same.

    Returns:
        `(batch, height, width, 3)` float32.
    """
    return resize(normalise(tf.cast(images, tf.float32)), height, width)


def normalise(pixels: tf.Tensor) -> tf.Tensor:
    """0..255 to -1..1."""
    return (2.0 / 255.0) * pixels - 1.0


def resize(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Bilinear with a pixel's corner, not its centre, as its place: TensorFlow 1's, which the zoo was trained with."""
    return tf.raw_ops.ResizeBilinear(images=images, size=[height, width], align_corners=False, half_pixel_centers=False)
