# SPDX-License-Identifier: Apache-2.0
"""Flips, turns, scalings and paddings of `preprocessor.proto`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from training_src.models.config.augmentation import (
    RandomDownscaleToTargetPixels,
    RandomHorizontalFlip,
    RandomImageScale,
    RandomResizeMethod,
    RandomRotation90,
    RandomSelfConcatImage,
    RandomVerticalFlip,
)
from training_src.models.config.crop_augmentation import (
    RandomAbsolutePadImage,
    RandomPadImage,
    RandomScaleCropAndPadToSquare,
    RandomSquareCropByScale,
)
from training_src.training.augmentation.resizing import METHODS, resized
from training_src.training.augmentation.window import BLACK, Colour, Window


def horizontal_flip(config: RandomHorizontalFlip, window: Window, rng: Generator) -> Window:
    return window.flipped() if rng.random() < config.probability else window


def vertical_flip(config: RandomVerticalFlip, window: Window, rng: Generator) -> Window:
    return window.flipped(vertically=True) if rng.random() < config.probability else window


def rotation90(config: RandomRotation90, window: Window, rng: Generator) -> Window:
    return window.rotated() if rng.random() < config.probability else window


def image_scale(config: RandomImageScale, window: Window, rng: Generator) -> Window:
    """Another size of the same canvas: what later options count in pixels changes."""
    scale = rng.uniform(config.min_scale_ratio, config.max_scale_ratio)
    return replace(window, height=max(1, int(window.height * scale)), width=max(1, int(window.width * scale)))


def downscale_to_target_pixels(config: RandomDownscaleToTargetPixels, window: Window, rng: Generator) -> Window:
    """A smaller canvas, of about as many pixels as were drawn; never a larger one."""
    chance, pixels = rng.random(), int(rng.integers(config.min_target_pixels, config.max_target_pixels))
    if chance < config.random_coef or window.height * window.width <= pixels:
        return window
    scale = math.sqrt(pixels / (window.height * window.width))
    # Drawn, and not only told: what a smaller image does not show must not come back.
    return window.drawn((max(1, int(scale * window.height)), max(1, int(scale * window.width))))


def resize_method(config: RandomResizeMethod, window: Window, rng: Generator) -> Window:
    """The canvas in a size of its own, by one of TensorFlow's four methods."""
    drawn, method = window.drawn(), METHODS[rng.integers(len(METHODS))]
    pixels = resized(drawn.pixels, config.target_height, config.target_width, method)
    return replace(Window.of(pixels, drawn.boxes), rows=drawn.rows)


def self_concat_image(config: RandomSelfConcatImage, window: Window, rng: Generator) -> Window:
    """The canvas twice, below or beside itself, or both; and so are its boxes."""
    below, beside = rng.random(2) < (config.concat_vertical_probability, config.concat_horizontal_probability)
    for axis, wanted in enumerate((below, beside)):
        window = _twice(window, axis) if wanted else window
    return window


def _twice(window: Window, axis: int) -> Window:
    drawn = window.drawn()
    boxes = drawn.boxes.copy()
    boxes[:, axis::2] /= 2
    moved = boxes.copy()
    moved[:, axis::2] += 0.5
    pixels = np.concatenate([drawn.pixels, drawn.pixels], axis=axis)
    return replace(Window.of(pixels, np.concatenate([boxes, moved])), rows=np.tile(drawn.rows, 2))


def pad_image(config: RandomPadImage, window: Window, rng: Generator) -> Window:
    least = (config.min_image_height or 0, config.min_image_width or 0)
    most = (config.max_image_height or 2 * window.height, config.max_image_width or 2 * window.width)
    return pad(window, least, most, fill_colour(config.pad_color), rng)


def absolute_pad_image(config: RandomAbsolutePadImage, window: Window, rng: Generator) -> Window:
    most = (window.height + (config.max_height_padding or 1), window.width + (config.max_width_padding or 1))
    return pad(window, (0, 0), most, fill_colour(config.pad_color), rng)


def pad(
    window: Window, least: tuple[float, float], most: tuple[float, float], fill: Colour | None, rng: Generator
) -> Window:
    """The canvas somewhere on a larger one, whose height and width lie between `least` and `most`.

    No colour means the canvas's mean. As in the API, sizes below the canvas's own are raised to it, and upper bounds
    are not reached.
    """
    size = (window.height, window.width)
    targets = []
    for own, low, high in zip(size, least, most, strict=True):
        lowest, highest = max(int(low), own), max(int(high), own)
        targets.append(int(rng.integers(lowest, highest)) if highest > lowest else highest)
    offsets = [
        int(rng.integers(target - own)) if target > own else 0 for own, target in zip(size, targets, strict=True)
    ]
    return window.framed((offsets[0], offsets[1]), (targets[0], targets[1]), fill or window.mean_colour())


def pad_to_aspect_ratio(
    window: Window, aspect_ratio: float, least: tuple[float, float], most: tuple[float, float], rng: Generator
) -> Window:
    """Black below and to the right, until width / height is `aspect_ratio`; `least` and `most` are sizes in pixels."""
    height = window.height if window.width <= aspect_ratio * window.height else window.width / aspect_ratio
    width = window.width if window.width >= aspect_ratio * window.height else window.height * aspect_ratio
    most_scale = min(max(most[0], height) / height, max(most[1], width) / width)
    least_scale = min(most_scale, max(max(least[0], height) / height, max(least[1], width) / width))
    scale = rng.uniform(least_scale, most_scale)
    size = (max(window.height, round(scale * height)), max(window.width, round(scale * width)))
    return window.framed((0, 0), size, BLACK)


def scale_crop_and_pad_to_square(config: RandomScaleCropAndPadToSquare, window: Window, rng: Generator) -> Window:
    """EfficientDet's: https://arxiv.org/abs/1911.09070."""
    side = config.output_size
    scale = rng.uniform(config.scale_min, config.scale_max) * side / max(window.height, window.width)
    drawn = rng.random(2)
    part = []
    for own, where in zip((window.height, window.width), drawn, strict=True):
        scaled = max(1, int(own * scale))
        offset = int(max(0, scaled - side) * where)
        part.append((offset / scaled, (offset + side) / scaled))
    return window.through((part[0][0], part[1][0], part[0][1], part[1][1]), (side, side))


def square_crop_by_scale(config: RandomSquareCropByScale, window: Window, rng: Generator) -> Window:
    """CenterNet's: https://arxiv.org/abs/1904.07850."""
    steps = max(config.num_scales - 1, 1)
    scale = config.scale_min + rng.integers(config.num_scales) / steps * (config.scale_max - config.scale_min)
    side = max(1, int(scale * max(window.height, window.width)))
    begin = []
    for own in (window.height, window.width):
        border = _border(config.max_border, own)
        begin.append(int(rng.integers(border, own - border + 1)) - side // 2)
    part = (
        begin[0] / window.height,
        begin[1] / window.width,
        (begin[0] + side) / window.height,
        (begin[1] + side) / window.width,
    )
    return window.through(part, (side, side))


def fill_colour(components: tuple[float, ...]) -> Colour | None:
    """An option's colour; None where it gives none."""
    if not components:
        return None
    red, green, blue = (round(component) for component in components)
    return red, green, blue


def _border(greatest: int, size: int) -> int:
    """How far a crop's centre stays from an edge: halved until it is less than half of the image."""
    halvings = max(0, math.ceil(math.log2(2 * greatest / size)))
    return greatest // int(min(2**halvings, greatest))
