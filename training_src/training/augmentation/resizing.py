# SPDX-License-Identifier: Apache-2.0
"""TensorFlow 1's four ways to resize, pixels' corners as their places: `tf.compat.v1.image.resize_images`.

Each works along one axis and then along the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.training.augmentation.window import Pixels

Array = NDArray[np.float32]
# Keys' cubic with this slope at 1 is TensorFlow's, where pixels' centres are no half a pixel away.
SLOPE = -0.75
# TensorFlow takes the cubic from a table of so many places between two pixels.
STEPS = 1024


def bilinear(image: Array, size: int) -> Array:
    places, low = _places(len(image), size)
    share = (places - low)[:, None, None].astype(np.float32)
    return np.asarray(_taken(image, low) * (1 - share) + _taken(image, low + 1) * share)


def nearest(image: Array, size: int) -> Array:
    _, low = _places(len(image), size)
    return _taken(image, low)


def bicubic(image: Array, size: int) -> Array:
    places, low = _places(len(image), size)
    share = np.rint((places - low) * STEPS) / STEPS
    result = np.zeros((size, *image.shape[1:]), np.float32)
    for offset in (-1, 0, 1, 2):
        result += _taken(image, low + offset) * _cubic(np.abs(share - offset))[:, None, None].astype(np.float32)
    return result


def area(image: Array, size: int) -> Array:
    """Each pixel the mean of those that it covers, wholly or in part."""
    sums = np.concatenate([np.zeros((1, *image.shape[1:])), np.cumsum(image, axis=0, dtype=np.float64)])
    edges = np.arange(size + 1) * (len(image) / size)
    low = np.minimum(edges.astype(np.int64), len(image) - 1)
    share = (edges - low)[:, None, None]
    until = sums[low] + (sums[low + 1] - sums[low]) * share
    return np.asarray(np.diff(until, axis=0) * (size / len(image)), np.float32)


# In the order in which `tf.image.ResizeMethod` counts them.
METHODS: tuple[Callable[[Array, int], Array], ...] = (bilinear, nearest, bicubic, area)


def resized(image: Pixels, height: int, width: int, method: Callable[[Array, int], Array]) -> Pixels:
    """An image `(h, w, 3)` in another size; rounded to whole levels, and clipped."""
    down = method(image.astype(np.float32), height)
    across = method(np.ascontiguousarray(down.transpose(1, 0, 2)), width).transpose(1, 0, 2)
    return np.ascontiguousarray(np.clip(np.rint(across), 0, 255).astype(np.uint8))


def _places(own: int, size: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Where the pixels of the result lie, and the pixel at or before each."""
    places = np.arange(size, dtype=np.float64) * (own / size)
    return places, np.asarray(np.minimum(np.floor(places).astype(np.int64), own - 1))


def _taken(image: Array, rows: NDArray[np.int64]) -> Array:
    return np.asarray(image[np.clip(rows, 0, len(image) - 1)])


def _cubic(distance: NDArray[Any]) -> NDArray[np.float64]:
    near = ((SLOPE + 2) * distance - (SLOPE + 3)) * distance * distance + 1
    far = ((SLOPE * distance - 5 * SLOPE) * distance + 8 * SLOPE) * distance - 4 * SLOPE
    return np.asarray(np.where(distance <= 1, near, far), np.float64)
