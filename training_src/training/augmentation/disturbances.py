# SPDX-License-Identifier: Apache-2.0
"""What `preprocessor.proto` does to pixels at the size at which it meets them: patches, noise, JPEG's traces."""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.random import Generator

from training_src.models.config.augmentation import (
    RandomBlackPatches,
    RandomJpegQuality,
    RandomPatchGaussian,
    RandomPixelValueScale,
)
from training_src.training.augmentation.window import Pixels


def black_patches(config: RandomBlackPatches, image: Pixels, rng: Generator) -> Pixels:
    """Up to so many black squares, each with its probability."""
    height, width = image.shape[:2]
    side = int(min(height, width) * config.size_to_image_ratio)
    image = image.copy()
    for chance, down, across in rng.random((config.max_black_patches, 3)):
        if chance <= config.probability:
            top = int(down * (1 - config.size_to_image_ratio) * height)
            left = int(across * (1 - config.size_to_image_ratio) * width)
            image[top : top + side, left : left + side] = 0
    return image


def patch_gaussian(config: RandomPatchGaussian, image: Pixels, rng: Generator) -> Pixels:
    """Noise on one square: https://arxiv.org/abs/1906.02611."""
    if rng.random() < config.random_coef:
        return image
    height, width = image.shape[:2]
    side = int(rng.integers(config.min_patch_size, max(config.max_patch_size, config.min_patch_size + 1)))
    deviation = rng.uniform(config.min_gaussian_stddev, config.max_gaussian_stddev) * 255
    y, x = int(rng.integers(height)), int(rng.integers(width))
    rows = slice(max(y - side // 2, 0), y + (side + 1) // 2)
    columns = slice(max(x - side // 2, 0), x + (side + 1) // 2)
    image = image.copy()
    patch = image[rows, columns]
    noisy = patch + deviation * rng.standard_normal(patch.shape, np.float32)
    image[rows, columns] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return image


def jpeg_quality(config: RandomJpegQuality, image: Pixels, rng: Generator) -> Pixels:
    """As a JPEG of a random quality shows it."""
    if rng.random() < config.random_coef:
        return image
    quality = int(rng.integers(config.min_jpeg_quality, max(config.max_jpeg_quality, config.min_jpeg_quality + 1)))
    encoded = simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=max(quality, 1), colorspace="RGB", colorsubsampling="420"
    )
    return np.asarray(simplejpeg.decode_jpeg(encoded, "RGB"), np.uint8)


def pixel_value_scale(config: RandomPixelValueScale, image: Pixels, rng: Generator) -> Pixels:
    """Each value by itself multiplied."""
    factors = rng.random(image.shape, np.float32) * (config.maxval - config.minval) + config.minval
    return np.asarray(np.clip(np.rint(image * factors), 0, 255), np.uint8)
