# SPDX-License-Identifier: Apache-2.0
"""Colour changes of `preprocessor.proto`: point by point, so that an image's size does not matter to them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from training_src.models.config.augmentation import (
    AdjustGamma,
    RandomAdjustBrightness,
    RandomAdjustContrast,
    RandomAdjustHue,
    RandomAdjustSaturation,
    RandomDistortColor,
    RandomRgbToGray,
    RgbToGray,
)
from training_src.training.augmentation.window import Pixels

# Rows that are computed with at a time: as floats they stay in a core's cache.
_STRIP = 32
# The greatest hue below 360 degrees.
_FULL_CIRCLE = float(np.nextafter(np.float32(360), np.float32(0)))


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
    return grey(image) if rng.random() <= config.probability else image


def rgb_to_gray(config: RgbToGray, image: Pixels, rng: Generator) -> Pixels:  # noqa: ARG001
    return grey(image)


def adjust_gamma(config: AdjustGamma, image: Pixels, rng: Generator) -> Pixels:  # noqa: ARG001
    """Each level, as a share of white, to the power of gamma."""
    levels = 255 * config.gain * (np.arange(256) / 255) ** config.gamma
    return np.asarray(cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8)), np.uint8)


def grey(image: Pixels) -> Pixels:
    """Its luma, in all three channels."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def brightened(image: Pixels, delta: float) -> Pixels:
    """With `delta` added, as a share of white."""
    return _scaled(image, 1.0, [255 * delta] * 3)


def contrasted(image: Pixels, factor: float) -> Pixels:
    """With each channel's distance from its mean multiplied."""
    return _scaled(image, factor, [mean * (1 - factor) for mean in cv2.mean(image)[:3]])


def recoloured(image: Pixels, turn: float = 0.0, saturation: float = 1.0) -> Pixels:
    """With its hue turned, as a share of the circle, and its saturation multiplied (HSV)."""
    changed = np.empty_like(image)
    for top in range(0, len(image), _STRIP):
        rows = slice(top, top + _STRIP)
        hsv = np.asarray(cv2.cvtColor(image[rows].astype(np.float32), cv2.COLOR_RGB2HSV))
        if turn:
            hue = cv2.add(cv2.extractChannel(hsv, 0), 360 * (turn % 1))  # type: ignore[call-overload]
            beyond = cv2.threshold(hue, _FULL_CIRCLE, 360.0, cv2.THRESH_BINARY)[1]
            cv2.insertChannel(cv2.subtract(hue, beyond), hsv, 0)
        if saturation != 1:
            strength = cv2.multiply(cv2.extractChannel(hsv, 1), saturation)  # type: ignore[call-overload]
            cv2.insertChannel(cv2.min(strength, 1.0), hsv, 1)  # type: ignore[call-overload]
        changed[rows] = cv2.convertScaleAbs(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    return changed


def _scaled(image: Pixels, factor: float, offsets: Sequence[float]) -> Pixels:
    """Each channel multiplied and shifted, rounded and clipped; several times as fast as a table."""
    change = np.concatenate([factor * np.eye(3), np.array(offsets)[:, None]], axis=1)
    return np.asarray(cv2.transform(image, change), np.uint8)
