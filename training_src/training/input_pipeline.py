# SPDX-License-Identifier: Apache-2.0
"""Batches as a pure function of the seed and the step, so that a resumed training goes on with the same ones."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]
from numpy.typing import NDArray

from training_src.data.example import DetectionExample
from training_src.models.config.training import TrainConfig
from training_src.models.preprocessing import resize
from training_src.training.augmentation import Labelled, augmentation
from training_src.training.records import Records, pixels

# Decoded images up to this size are kept, so that each is decoded once.
CACHE_BYTES = 1 << 30
# AUTOTUNE was measured to be slower on two cores.
PARALLEL_CALLS = 2


def training_batches(
    records: Records, config: TrainConfig, size: tuple[int, int], seed: int, first_step: int
) -> tf.data.Dataset:
    """The batches from a step on, without end.

    Args:
        records: The training images.
        config: Batch size, augmentation, greatest number of boxes.
        size: Height and width of the network's input.
        seed: Decides order and augmentation.
        first_step: Steps that are already done.

    Returns:
        A data set of images `(batch, height, width, 3)` float32 0..255, boxes `(batch, boxes, 4)`,
        classes `(batch, boxes)` int32 from 0 and weights `(batch, boxes)`, padded to the batch's greatest count.
    """
    load = _Loader(records, config.max_number_of_boxes, seed)
    augment = augmentation(config.data_augmentation_options, seed)

    def labelled(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        image, boxes, classes = tf.numpy_function(load, [position], [tf.uint8, tf.float32, tf.int32])
        image.set_shape([None, None, 3])
        boxes.set_shape([None, 4])
        classes.set_shape([None])
        result = augment(Labelled(image, boxes, classes), position)
        resized = tf.ensure_shape(resize(result.image[None], *size)[0], [*size, 3])
        return resized, *_at_least_one_row(result.boxes, result.classes)

    positions = tf.data.Dataset.range(first_step * config.batch_size, np.iinfo(np.int64).max)
    return (
        positions.map(labelled, num_parallel_calls=PARALLEL_CALLS, deterministic=True)
        .padded_batch(config.batch_size, drop_remainder=True)
        .prefetch(2)
    )


def _at_least_one_row(boxes: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Boxes, classes and weights, with a row of padding where there is no box."""
    weights = tf.ones_like(classes, tf.float32)
    padding = tf.maximum(1 - tf.shape(boxes)[0], 0)
    return (
        tf.pad(boxes, [[0, padding], [0, 0]]),
        tf.pad(classes, [[0, padding]]),
        tf.pad(weights, [[0, padding]]),
    )


class _Loader:
    """The image that stands at a position of the endless sequence of shuffled epochs."""

    def __init__(self, records: Records, max_boxes: int, seed: int) -> None:
        self._records = records
        self._max_boxes = max_boxes
        self._kept: dict[int, tuple[DetectionExample, NDArray[np.uint8]]] = {}
        self._room = CACHE_BYTES
        self._order = lru_cache(maxsize=2)(lambda epoch: np.random.default_rng([seed, epoch]).permutation(len(records)))

    def __call__(self, position: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int32]]:
        epoch, offset = divmod(int(position), len(self._records))
        example, image = self._decoded(int(self._order(epoch)[offset]))
        classes = example.labels[: self._max_boxes].astype(np.int32) - 1
        return image, example.boxes[: self._max_boxes], classes

    def _decoded(self, index: int) -> tuple[DetectionExample, NDArray[np.uint8]]:
        if index in self._kept:
            return self._kept[index]
        example = self._records[index]
        image = pixels(example)
        if image.nbytes <= self._room:
            self._room -= image.nbytes
            self._kept[index] = replace(example, encoded=b""), image
        return example, image
