# SPDX-License-Identifier: Apache-2.0
"""Batches as a pure function of the seed and the step, so that a resumed training goes on with the same ones.

An image is read, decoded, augmented and resized by C libraries in one call, and stays uint8 until the network takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training_src.errors import ConfigurationError
from training_src.models.config.image_resizer import ImageResizer, resized_shape
from training_src.models.config.training import TrainConfig
from training_src.models.preprocessing import padding_values, resize_to
from training_src.training.augmentation import Labelled, Resized, augmentation, leaves_bytes, moves_pixels
from training_src.training.records import Records

# Nothing below needs Python's control flow to be translated into TensorFlow's.
_as_it_is = tf.autograph.experimental.do_not_convert
# AUTOTUNE was measured to be slower on two cores.
PARALLEL_CALLS = 2
# Numbers of boxes that a batch is padded to, so that few shapes occur; the last one is the config's own greatest.
BUCKETS = (8, 16, 32, 64)


class Batch(NamedTuple):
    """What a training step takes.

    Attributes:
        images: `(batch, height, width, 3)`, RGB of 0..255, resized and padded: uint8 where an augmentation moves
            pixels and leaves their values in 0..255, otherwise float32 exactly as the OD API resizes.
        true_shapes: `(batch, 3)` int32: height, width and channels without padding.
        boxes: `(batch, boxes, 4)` float32: ymin, xmin, ymax, xmax, normalised to the padded image.
        classes: `(batch, boxes)` int32, from 0.
        weights: `(batch, boxes)` float32: 0 for padding, and for crowds.
    """

    images: tf.Tensor
    true_shapes: tf.Tensor
    boxes: tf.Tensor
    classes: tf.Tensor
    weights: tf.Tensor


def training_batches(
    records: Records,
    config: TrainConfig,
    resizer: ImageResizer,
    seed: int,
    first_step: int,
    instance: int = 0,
    instances: int = 1,
    last_step: int | None = None,
) -> tf.data.Dataset:
    """The batches from a step on.

    Args:
        records: The training images.
        config: Batch size, augmentation, greatest number of boxes.
        resizer: The size of the network's input.
        seed: Decides order and augmentation.
        first_step: Steps that are already done.
        instance: Which part of each batch is wanted, counted from 0.
        instances: How many parts a batch has; `config.batch_size` is that of one.
        last_step: How many steps are done after the last batch; None: there is no last one.

    Returns:
        A data set of `Batch`es, their boxes padded to one of a few numbers.

    Raises:
        ConfigurationError: If the images of a batch would differ in size.
    """
    signature = batch_signature(config, resizer)
    cv2.setNumThreads(1)  # the calls below run beside each other
    prepare = _drawn if moves_pixels(config.data_augmentation_options) else _resized
    size = config.batch_size
    last = np.iinfo(np.int64).max if last_step is None else last_step * size
    positions = tf.data.Dataset.range(first_step * size, last)
    if instances > 1:
        positions = positions.map(lambda own: own // size * (size * instances) + instance * size + own % size)
    buckets = tf.constant([*(one for one in BUCKETS if one < config.max_number_of_boxes), config.max_number_of_boxes])

    def padded(batch: Batch) -> Batch:
        count = tf.shape(batch.weights)[1]
        extra = [[0, 0], [0, tf.reduce_min(tf.where(buckets >= count, buckets, buckets[-1])) - count]]
        boxes = tf.pad(batch.boxes, [*extra, [0, 0]])
        full = (batch.images, batch.true_shapes, boxes, tf.pad(batch.classes, extra), tf.pad(batch.weights, extra))
        return Batch(*map(tf.ensure_shape, full, [spec.shape for spec in signature]))

    return (
        positions.map(
            _as_it_is(prepare(records, config, resizer, seed)), num_parallel_calls=PARALLEL_CALLS, deterministic=True
        )
        .padded_batch(config.batch_size, drop_remainder=True)
        .map(_as_it_is(padded))
        .prefetch(2)
    )


def batch_signature(config: TrainConfig, resizer: ImageResizer) -> Batch:
    """Shapes and types of the batches' tensors, boxes of any number.

    Raises:
        ConfigurationError: If the images of a batch would differ in size.
    """
    size, count = resized_shape(resizer), config.batch_size
    if size is None and count > 1:
        raise ConfigurationError(
            f"image_resizer: images keep different sizes, of which a batch of {count} cannot be made; "
            "set pad_to_max_dimension: true, or batch_size: 1."
        )
    moved = moves_pixels(config.data_augmentation_options)
    dtype = _dtype(config) if moved else tf.float32
    return Batch(
        tf.TensorSpec([count, *(size or (None, None)), 3], dtype),
        tf.TensorSpec([count, 3], tf.int32),
        tf.TensorSpec([count, None, 4], tf.float32),
        tf.TensorSpec([count, None], tf.int32),
        tf.TensorSpec([count, None], tf.float32),
    )


def _dtype(config: TrainConfig) -> tf.DType:
    """Of an augmented image."""
    return tf.float32 if leaves_bytes(config.data_augmentation_options) else tf.uint8


def _drawn(records: Records, config: TrainConfig, resizer: ImageResizer, seed: int) -> Callable[[tf.Tensor], Batch]:
    """Augmentation and resizing as one: the part that is seen, at the size that is wanted."""
    values = padding_values(resizer)
    load = _Loader(records, config, seed, lambda height, width: _content_size(resizer, height, width))

    def draw(position: NDArray[np.int64]) -> tuple[NDArray[np.generic], ...]:
        labelled = load(int(position))
        height, width = labelled.image.shape[:2]
        full = resized_shape(resizer) or _padded_size(resizer, height, width)
        image: NDArray[Any] = labelled.image
        if full != (height, width):
            borders = (0, full[0] - height, 0, full[1] - width)
            image = np.asarray(cv2.copyMakeBorder(image, *borders, cv2.BORDER_CONSTANT, value=values), image.dtype)
        scale = np.array([height / full[0], width / full[1]] * 2, np.float32)
        return image, np.array([height, width, 3], np.int32), labelled.boxes * scale, labelled.classes, labelled.weights

    def of(position: tf.Tensor) -> Batch:
        types = [_dtype(config), tf.int32, tf.float32, tf.int32, tf.float32]
        columns = tf.numpy_function(draw, [position], types, stateful=False)
        shapes = [[None, None, 3], [3], [None, 4], [None], [None]]
        return Batch(*map(tf.ensure_shape, columns, shapes))

    return of


def _resized(records: Records, config: TrainConfig, resizer: ImageResizer, seed: int) -> Callable[[tf.Tensor], Batch]:
    """Images whose pixels stay in place, resized as evaluation and serving resize."""
    load = _Loader(records, config, seed)

    def of(position: tf.Tensor) -> Batch:
        types = [_dtype(config), tf.float32, tf.int32, tf.float32]
        columns = tf.numpy_function(lambda number: tuple(load(int(number))), [position], types, stateful=False)
        image, boxes, classes, weights = map(tf.ensure_shape, columns, [[None, None, 3], [None, 4], [None], [None]])
        resized, true_shapes = resize_to(resizer, image[None])
        scale = tf.cast(true_shapes[0, :2], tf.float32) / tf.cast(tf.shape(resized)[1:3], tf.float32)
        boxes *= tf.concat([scale, scale], axis=0)
        return Batch(tf.cast(resized[0], tf.float32), true_shapes[0], boxes, classes, weights)

    return of


def _content_size(resizer: ImageResizer, height: int, width: int) -> tuple[int, int]:
    """Height and width that an image is resized to, without padding."""
    if resizer.fixed_shape_resizer:
        return resizer.fixed_shape_resizer.height, resizer.fixed_shape_resizer.width
    if keep := resizer.keep_aspect_ratio_resizer:
        factor = min(keep.min_dimension / min(height, width), keep.max_dimension / max(height, width))
    elif conditional := resizer.conditional_shape_resizer:
        greater = conditional.condition == "GREATER"
        factor = conditional.size_threshold / (max if greater else min)(height, width)
        factor = min(factor, 1.0) if greater else max(factor, 1.0)
    else:
        factor = 1.0
    return max(1, round(height * factor)), max(1, round(width * factor))


def _padded_size(resizer: ImageResizer, height: int, width: int) -> tuple[int, int]:
    multiple = resizer.pad_to_multiple_resizer.multiple if resizer.pad_to_multiple_resizer else 1
    return height + -height % multiple, width + -width % multiple


class _Loader:
    """The augmented image that stands at a position of the endless sequence of shuffled epochs."""

    def __init__(self, records: Records, config: TrainConfig, seed: int, resized: Resized | None = None) -> None:
        self._records = records
        self._most_boxes = config.max_number_of_boxes
        self._augment = augmentation(config.data_augmentation_options, seed, resized)
        self._order = lru_cache(maxsize=2)(lambda epoch: np.random.default_rng([seed, epoch]).permutation(len(records)))

    def __call__(self, position: int) -> Labelled:
        epoch, offset = divmod(position, len(self._records))
        example, image = self._records.decoded(int(self._order(epoch)[offset]))
        weights = np.where(example.crowd > 0, 0, 1).astype(np.float32)
        classes = example.labels.astype(np.int32) - 1
        seen = self._augment(Labelled(image, example.boxes, classes, weights), position)
        # The image is kept, or another one will be decoded into it.
        own = seen.image.copy() if np.may_share_memory(seen.image, image) else seen.image
        most = self._most_boxes
        return Labelled(own, seen.boxes[:most], seen.classes[:most], seen.weights[:most])
