# SPDX-License-Identifier: Apache-2.0
"""`data_augmentation_options`, each with the OD API's meaning and as a pure function of a seed."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.config.augmentation import (
    PreprocessingStep,
    RandomAdjustContrast,
    RandomAdjustSaturation,
    RandomCropImage,
    RandomHorizontalFlip,
    RandomScaleCropAndPadToSquare,
)

# A crop that covers enough of an object may take some trials; the API gives up after as many.
CROP_ATTEMPTS = 100


class Labelled(NamedTuple):
    """An image and its boxes.

    Attributes:
        image: `(height, width, 3)`, 0..255; uint8 until something computes with it.
        boxes: `(boxes, 4)`: ymin, xmin, ymax, xmax, normalised.
        classes: `(boxes,)`.
    """

    image: tf.Tensor
    boxes: tf.Tensor
    classes: tf.Tensor


# Takes an image and the seed's two numbers.
Step: TypeAlias = Callable[[Labelled, tf.Tensor], Labelled]


def augmentation(options: Sequence[PreprocessingStep], seed: int) -> Callable[[Labelled, tf.Tensor], Labelled]:
    """All options, one after the other.

    Args:
        options: The config's, in their order.
        seed: The training's.

    Returns:
        A function of an image and its position in the training's sequence, which alone decides what happens to it.
    """
    steps = [_step(option) for option in options]
    # Numbers that are unrelated for related seeds and neighbouring options.
    keys = [int(np.random.SeedSequence([seed, index]).generate_state(1)[0]) for index in range(len(steps))]

    def augment(labelled: Labelled, position: tf.Tensor) -> Labelled:
        for step, key in zip(steps, keys, strict=True):
            labelled = step(labelled, tf.stack([tf.constant(key, tf.int64), tf.cast(position, tf.int64)]))
        return labelled

    return augment


def _step(option: PreprocessingStep) -> Step:
    if option.random_horizontal_flip:
        return _horizontal_flip(option.random_horizontal_flip)
    if option.random_crop_image:
        return _crop(option.random_crop_image)
    if option.random_scale_crop_and_pad_to_square:
        return _scale_crop_and_pad(option.random_scale_crop_and_pad_to_square)
    return _colour(option)


def _horizontal_flip(config: RandomHorizontalFlip) -> Step:
    def flip(labelled: Labelled) -> Labelled:
        ymin, xmin, ymax, xmax = tf.unstack(labelled.boxes, axis=1)
        boxes = tf.stack([ymin, 1 - xmax, ymax, 1 - xmin], axis=1)
        return labelled._replace(image=tf.reverse(labelled.image, [1]), boxes=boxes)

    def step(labelled: Labelled, seed: tf.Tensor) -> Labelled:
        drawn = tf.random.stateless_uniform([], seed)
        return Labelled(*tf.cond(drawn < config.probability, lambda: flip(labelled), lambda: labelled))

    return step


def _crop(config: RandomCropImage) -> Step:
    def crop(labelled: Labelled, seed: tf.Tensor) -> Labelled:
        begin, size, window = tf.image.stateless_sample_distorted_bounding_box(
            tf.shape(labelled.image),
            tf.clip_by_value(labelled.boxes, 0.0, 1.0)[None],
            seed=seed,
            min_object_covered=config.min_object_covered,
            aspect_ratio_range=(config.min_aspect_ratio, config.max_aspect_ratio),
            area_range=(config.min_area, config.max_area),
            max_attempts=CROP_ATTEMPTS,
            use_image_if_no_bounding_boxes=True,
        )
        image = tf.slice(labelled.image, begin, size)
        image.set_shape([None, None, 3])
        return _seen_through(labelled._replace(image=image), window[0, 0], config.overlap_thresh, config.clip_boxes)

    def step(labelled: Labelled, seed: tf.Tensor) -> Labelled:
        if config.random_coef <= 0:
            return crop(labelled, seed)
        kept = tf.random.stateless_uniform([], seed + 1) < config.random_coef
        return Labelled(*tf.cond(kept, lambda: labelled, lambda: crop(labelled, seed)))

    return step


def _scale_crop_and_pad(config: RandomScaleCropAndPadToSquare) -> Step:
    side = config.output_size

    def step(labelled: Labelled, seed: tf.Tensor) -> Labelled:
        scale, drawn_y, drawn_x = tf.unstack(tf.random.stateless_uniform([3], seed))
        target = (config.scale_min + scale * (config.scale_max - config.scale_min)) * side
        size = tf.cast(tf.shape(labelled.image)[:2], tf.float32)
        scaled = tf.cast(size * tf.reduce_min(target / size), tf.int32)
        room = tf.cast(tf.maximum(scaled - side, 0), tf.float32)
        offset = tf.cast(room * tf.stack([drawn_y, drawn_x]), tf.int32)
        image = tf.raw_ops.ResizeBilinear(images=labelled.image[None], size=tf.maximum(scaled, 1))[0]
        image = image[offset[0] : offset[0] + side, offset[1] : offset[1] + side]
        missing = side - tf.shape(image)[:2]
        image = tf.ensure_shape(tf.pad(image, [[0, missing[0]], [0, missing[1]], [0, 0]]), [side, side, 3])
        begin, extent = tf.cast(offset, tf.float32), tf.cast(scaled, tf.float32)
        window = tf.concat([begin / extent, (begin + side) / extent], axis=0)
        return _seen_through(labelled._replace(image=image), window, 0.0, clip=True)

    return step


def _seen_through(labelled: Labelled, window: tf.Tensor, overlap: float, clip: bool) -> Labelled:
    """Boxes in a window's coordinates, without those of which too little is left."""
    ymin, xmin, ymax, xmax = tf.unstack(window)
    corner, extent = tf.stack([ymin, xmin] * 2), tf.stack([ymax - ymin, xmax - xmin] * 2)
    boxes = (labelled.boxes - corner) / extent
    clipped = tf.clip_by_value(boxes, 0.0, 1.0)
    area, visible = _area(boxes), _area(clipped)
    kept = (visible > 0) & (visible >= overlap * area)
    return labelled._replace(
        boxes=tf.boolean_mask(clipped if clip else boxes, kept), classes=tf.boolean_mask(labelled.classes, kept)
    )


def _area(boxes: tf.Tensor) -> tf.Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _colour(option: PreprocessingStep) -> Step:
    """Operations of `tf.image` on an image of 0..1, as the API applies them, clipped afterwards."""

    def adjust(image: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        between = option.random_adjust_contrast or option.random_adjust_saturation
        if isinstance(between, RandomAdjustContrast | RandomAdjustSaturation):
            factor = between.min_delta + drawn * (between.max_delta - between.min_delta)
            change = tf.image.adjust_contrast if option.random_adjust_contrast else tf.image.adjust_saturation
            return change(image, factor)
        shift = option.random_adjust_brightness or option.random_adjust_hue
        assert shift is not None  # every other option was one of the four above
        delta = (2 * drawn - 1) * shift.max_delta
        return (tf.image.adjust_brightness if option.random_adjust_brightness else tf.image.adjust_hue)(image, delta)

    def step(labelled: Labelled, seed: tf.Tensor) -> Labelled:
        image = tf.cast(labelled.image, tf.float32) / 255
        image = tf.clip_by_value(adjust(image, tf.random.stateless_uniform([], seed)), 0.0, 1.0)
        return labelled._replace(image=image * 255)

    return step
