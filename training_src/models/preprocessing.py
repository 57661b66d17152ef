# SPDX-License-Identifier: Apache-2.0
"""From pixels to a network's input: resized and scaled to -1..1, as the OD API does it."""

import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.config.image_resizer import ImageResizer


def resized_shape(resizer: ImageResizer) -> tuple[int, int] | None:
    """Height and width of what `resize_to` gives; None where they depend on the image."""
    fixed = resizer.fixed_shape_resizer
    return fixed.height, fixed.width


def resize_to(resizer: ImageResizer, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Images in the size that a config asks for.

    Args:
        resizer: The config's.
        images: `(batch, h, w, channels)` float32.

    Returns:
        `(batch, height, width, channels)` float32 and the shapes without padding, `(batch, 3)` int32.
    """
    fixed = resizer.fixed_shape_resizer
    resized = resize(images, fixed.height, fixed.width)
    shape = tf.stack([fixed.height, fixed.width, tf.shape(images)[3]])
    return resized, tf.tile(shape[None], [tf.shape(images)[0], 1])


def normalise(pixels: tf.Tensor) -> tf.Tensor:
    """0..255 to -1..1."""
    return (2.0 / 255.0) * pixels - 1.0


def resize(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Bilinear with a pixel's corner, not its centre, as its place: TensorFlow 1's, which the zoo was trained with."""
    return tf.raw_ops.ResizeBilinear(images=images, size=[height, width], align_corners=False, half_pixel_centers=False)
