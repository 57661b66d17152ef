# SPDX-License-Identifier: Apache-2.0
"""Colour changes of `preprocessor.proto`: point by point, so that an image's size does not matter to them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training_src.models.config.augmentation import (
    RandomAdjustBrightness,
    RandomAdjustContrast,
    RandomAdjustHue,
    RandomAdjustSaturation,
    RandomDistortColor,
    RandomRgbToGray,
    RgbToGray,
)
from training_src.training.augmentation.view import Pixels

_LEVELS = np.arange(256, dtype=np.float32)


def adjust_brightness(config: RandomAdjustBrightness, image: Pixels, rng: Generator) -> Pixels:
    return brightened(image, rng.uniform(-config.max_delta, config.max_delta))


def adjust_contrast(config: RandomAdjustContrast, image: Pixels, rng: Generator) -> Pixels:
    return contrasted(image, rng.uniform(config.min_delta, config.max_delta))


def adjust_hue(config: RandomAdjustHue, image: Pixels, rng: Generator) -> Pixels:
    return recoloured(image, turn=rng.uniform(-config.max_delta, config.max_delta))


def adjust_saturation(config: RandomAdjustSaturation, image: Pixels, rng: Generator) -> Pixels:
    return recoloured(image, saturation=rng.uniform(config.min_delta, config.max_delta))


def distort_color(config: RandomDistortColor, image: Pixels, rng: Generator) -> Pixels:
    """SSD's photometric distortions, in one of two orders."""
    brightness, contrast = rng.uniform(-32 / 255, 32 / 255), rng.uniform(0.5, 1.5)
    saturation, turn = rng.uniform(0.5, 1.5), rng.uniform(-0.2, 0.2)
    image = brightened(image, brightness)
    if config.color_ordering == 0:
        return contrasted(recoloured(image, turn, saturation), contrast)
    return recoloured(contrasted(image, contrast), turn, saturation)


def random_rgb_to_gray(config: RandomRgbToGray, image: Pixels, rng: Generator) -> Pixels:
    return rgb_to_gray(RgbToGray(), image, rng) if rng.random() <= config.probability else image


def rgb_to_gray(config: RgbToGray, image: Pixels, rng: Generator) -> Pixels:  # noqa: ARG001
    """Its luma, in all three channels."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def brightened(image: Pixels, delta: float) -> Pixels:
    """With `delta` added, as a share of white."""
    return _mapped(image, (_LEVELS + 255 * delta)[None])


def contrasted(image: Pixels, factor: float) -> Pixels:
    """With each channel's distance from its mean multiplied."""
    means = np.array(cv2.mean(image)[:3], np.float32)[:, None]
    return _mapped(image, (_LEVELS - means) * factor + means)


def recoloured(image: Pixels, turn: float = 0.0, saturation: float = 1.0) -> Pixels:
    """With its hue turned, as a share of the circle, and its saturation multiplied (HSV)."""
    hsv = np.asarray(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV))
    if turn:
        hsv[..., 0] = np.mod(hsv[..., 0] + 360 * turn, 360)
    if saturation != 1.0:
        hsv[..., 1] = np.minimum(hsv[..., 1] * saturation, 1.0)
    return np.asarray(cv2.convertScaleAbs(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)), np.uint8)


def _mapped(image: Pixels, levels: NDArray[np.float32]) -> Pixels:
    """Each level replaced, by one table or by one a channel: `(1 or 3, 256)`."""
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table.T[None] if len(table) == 3 else table[0]), np.uint8)
