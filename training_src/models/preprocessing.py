# SPDX-License-Identifier: Apache-2.0
"""From pixels to a network's input: resized, padded and scaled, as the OD API does it (`image_resizer_builder`)."""

import tensorflow as tf

from training_src.models.config.image_resizer import (
    ConditionalShapeResizer,
    ImageResizer,
    KeepAspectRatioResizer,
    ResizeMethod,
    resized_shape,
)
from training_src.models.errors import ConfigError

# ImageNet's means and standard deviations of the channels, for pixels of 0..1.
CHANNEL_MEANS = (0.485, 0.456, 0.406)
CHANNEL_DEVIATIONS = (0.229, 0.224, 0.225)


def resize_method(resizer: ImageResizer) -> ResizeMethod | None:
    """How a config resizes; None where it only pads."""
    parts = (resizer.fixed_shape_resizer, resizer.keep_aspect_ratio_resizer, resizer.conditional_shape_resizer)
    return next((part.resize_method for part in parts if part is not None), None)


def resize_to(resizer: ImageResizer, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Images in the size that a config asks for.

    Only what is resized becomes floating point: four bytes for each of a photograph's would be more than all the rest.

    Args:
        resizer: The config's.
        images: `(batch, h, w, 3)`, any numeric dtype.

    Returns:
        `(batch, height, width, 3)` float32 and the shapes without padding, `(batch, 3)` int32.
    """
    resized = _resized(resizer, images)
    padded = _padded(resizer, resized)
    size = resized_shape(resizer) or (None, None)
    true_shape = tf.broadcast_to(tf.shape(resized)[1:], [tf.shape(resized)[0], 3])
    return tf.ensure_shape(padded, [None, *size, 3]), true_shape


def padding_values(resizer: ImageResizer) -> tuple[float, ...]:
    """What stands in each channel beside the image."""
    keep = resizer.keep_aspect_ratio_resizer
    values = keep.per_channel_pad_value if keep else ()
    if len(values) not in (0, 3):
        raise ConfigError(f"keep_aspect_ratio_resizer: per_channel_pad_value has {len(values)} values, an image has 3")
    return values or (0.0, 0.0, 0.0)


def height_and_width(images: tf.Tensor) -> tuple[int | tf.Tensor, int | tf.Tensor]:
    """Of images or feature maps `(batch, height, width, channels)`, as numbers where they are known."""
    known, shape = images.shape, tf.shape(images)
    return known[1] or shape[1], known[2] or shape[2]


def mask_padding(resizer: ImageResizer, images: tf.Tensor, true_shapes: tf.Tensor) -> tf.Tensor:
    """The same images, with the config's padding values beside their true shapes."""
    if resizer.fixed_shape_resizer:
        return images
    height, width = _size(images)
    rows = tf.range(height)[None, :, None, None] < true_shapes[:, 0][:, None, None, None]
    columns = tf.range(width)[None, None, :, None] < true_shapes[:, 1][:, None, None, None]
    return tf.where(rows & columns, images, tf.constant(padding_values(resizer), images.dtype))


def scale_to_one(pixels: tf.Tensor) -> tf.Tensor:
    """0..255 to -1..1."""
    return (2.0 / 255.0) * pixels - 1.0


def standardise(pixels: tf.Tensor) -> tf.Tensor:
    """0..255 to what EfficientNet takes: each channel with mean 0 and standard deviation 1 over ImageNet."""
    return (pixels / 255.0 - tf.constant(CHANNEL_MEANS, tf.float32)) / tf.constant(CHANNEL_DEVIATIONS, tf.float32)


def resize(images: tf.Tensor, height: int, width: int, method: ResizeMethod = "BILINEAR") -> tf.Tensor:
    """Resizing with a pixel's corner, not its centre, as its place: TensorFlow 1's, which the zoo was trained with.

    Args:
        images: `(batch, h, w, 3)`, any numeric dtype.
        height: Wanted, in pixels.
        width: Wanted, in pixels.
        method: How pixels between pixels are found.

    Returns:
        `(batch, height, width, 3)` float32.
    """
    if method == "AREA":
        return tf.raw_ops.ResizeArea(images=images, size=[height, width], align_corners=False)
    operation = {
        "BILINEAR": tf.raw_ops.ResizeBilinear,
        "NEAREST_NEIGHBOR": tf.raw_ops.ResizeNearestNeighbor,
        "BICUBIC": tf.raw_ops.ResizeBicubic,
    }[method]
    resized = operation(images=images, size=[height, width], align_corners=False, half_pixel_centers=False)
    return tf.cast(resized, tf.float32)


def _resized(resizer: ImageResizer, images: tf.Tensor) -> tf.Tensor:
    if resizer.fixed_shape_resizer:
        fixed = resizer.fixed_shape_resizer
        return resize(images, fixed.height, fixed.width, fixed.resize_method)
    if resizer.keep_aspect_ratio_resizer:
        keep = resizer.keep_aspect_ratio_resizer
        return resize(images, *_kept_aspect(keep, *_size(images)), keep.resize_method)
    if resizer.conditional_shape_resizer:
        conditional = resizer.conditional_shape_resizer
        return resize(images, *_conditional(conditional, *_size(images)), conditional.resize_method)
    return tf.cast(images, tf.float32)


def _padded(resizer: ImageResizer, images: tf.Tensor) -> tf.Tensor:
    height, width = _size(images)
    if resizer.pad_to_multiple_resizer:
        multiple = resizer.pad_to_multiple_resizer.multiple
        return tf.pad(images, [[0, 0], [0, -height % multiple], [0, -width % multiple], [0, 0]])
    keep = resizer.keep_aspect_ratio_resizer
    if keep is None or not keep.pad_to_max_dimension:
        return images
    values = tf.constant(padding_values(resizer), images.dtype)
    paddings = [[0, 0], [0, keep.max_dimension - height], [0, keep.max_dimension - width], [0, 0]]
    return tf.pad(images - values, paddings) + values


def _kept_aspect(config: KeepAspectRatioResizer, height: tf.Tensor, width: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The shorter side becomes `min_dimension`, unless the longer would then exceed `max_dimension`."""
    large = _scaled(height, width, config.min_dimension, tf.minimum(height, width))
    small = _scaled(height, width, config.max_dimension, tf.maximum(height, width))
    size = tf.where(tf.reduce_max(large) > config.max_dimension, small, large)
    return size[0], size[1]


def _conditional(config: ConditionalShapeResizer, height: tf.Tensor, width: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """GREATER: the longer side becomes at most the threshold; SMALLER: the shorter at least."""
    greater = config.condition == "GREATER"
    side = tf.maximum(height, width) if greater else tf.minimum(height, width)
    target = tf.minimum(side, config.size_threshold) if greater else tf.maximum(side, config.size_threshold)
    size = _scaled(height, width, target, side)
    return size[0], size[1]


def _scaled(height: tf.Tensor, width: tf.Tensor, target: int | tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Both sides, scaled as one of them becomes `target`, at least 1: the API makes a side of 0 of a narrow strip."""
    factor = tf.cast(target, tf.float32) / tf.cast(side, tf.float32)
    return tf.maximum(1, tf.cast(tf.round(tf.cast(tf.stack([height, width]), tf.float32) * factor), tf.int32))


def _size(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.shape(images)
    return shape[1], shape[2]
