# SPDX-License-Identifier: Apache-2.0
"""Crops of `preprocessor.proto`, those of SSD among them: https://arxiv.org/abs/1512.02325."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training_src.models.config.crop_augmentation import (
    RandomCropImage,
    RandomCropPadImage,
    RandomCropToAspectRatio,
    SsdRandomCrop,
    SsdRandomCropFixedAspectRatio,
    SsdRandomCropPad,
    SsdRandomCropPadFixedAspectRatio,
)
from training_src.training.augmentation.geometry import fill_colour, pad, pad_to_aspect_ratio
from training_src.training.augmentation.window import Boxes, Colour, Window

# The API gives up after as many trials, and keeps the whole image.
ATTEMPTS = 100
# What the API does where no operations are configured: SSD's own list.
SSD_OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True)
class Crop:
    """What a crop must be like.

    Attributes:
        covered: At least this share of one box must be seen.
        aspect_ratio: Least and greatest width / height.
        area: Least and greatest share of the image.
        overlap: Boxes of which a smaller share is left are dropped.
        clip: Whether boxes end where the crop does.
        keep: Probability of the whole image.
    """

    covered: float
    aspect_ratio: tuple[float, float]
    area: tuple[float, float]
    overlap: float
    clip: bool
    keep: float

    @staticmethod
    def of(config: Any, aspect_ratio: tuple[float, float] | None = None) -> Crop:
        """A crop as one of the config's messages says, whose names are the same in all of them."""
        return Crop(
            config.min_object_covered,
            aspect_ratio or (config.min_aspect_ratio, config.max_aspect_ratio),
            (config.min_area, config.max_area),
            config.overlap_thresh,
            config.clip_boxes,
            config.random_coef,
        )

    def __call__(self, window: Window, rng: Generator) -> Window:
        if self.keep > 0 and rng.random() <= self.keep:
            return window
        top, left, height, width = sample_window(window.height, window.width, window.boxes, self, rng)
        return _cut(window, top, left, height, width, self.overlap, self.clip)


def crop_image(config: RandomCropImage, window: Window, rng: Generator) -> Window:
    return Crop.of(config)(window, rng)


def crop_pad_image(config: RandomCropPadImage, window: Window, rng: Generator) -> Window:
    return _crop_and_pad(Crop.of(config), config, fill_colour(config.pad_color), window, rng)


def crop_to_aspect_ratio(config: RandomCropToAspectRatio, window: Window, rng: Generator) -> Window:
    fitting = config.aspect_ratio * window.height
    height = window.height if window.width >= fitting else round(window.width / config.aspect_ratio)
    width = window.width if window.width <= fitting else round(fitting)
    height, width = max(height, 1), max(width, 1)
    top, left = int(rng.integers(window.height - height + 1)), int(rng.integers(window.width - width + 1))
    return _cut(window, top, left, height, width, config.overlap_thresh, config.clip_boxes)


def ssd_random_crop(config: SsdRandomCrop, window: Window, rng: Generator) -> Window:
    crops = [Crop.of(one) for one in config.operations] or _ssd_crops((0.5, 2.0))
    return crops[rng.integers(len(crops))](window, rng)


def ssd_random_crop_pad(config: SsdRandomCropPad, window: Window, rng: Generator) -> Window:
    if not config.operations:
        crops = _ssd_crops((0.5, 2.0))[1:]
        return _crop_and_pad(crops[rng.integers(len(crops))], RandomCropPadImage(), None, window, rng)
    chosen = config.operations[rng.integers(len(config.operations))]
    fill = fill_colour((chosen.pad_color_r, chosen.pad_color_g, chosen.pad_color_b))
    return _crop_and_pad(Crop.of(chosen), chosen, fill, window, rng)


def ssd_random_crop_fixed_aspect_ratio(config: SsdRandomCropFixedAspectRatio, window: Window, rng: Generator) -> Window:
    ratio = (config.aspect_ratio, config.aspect_ratio)
    crops = [Crop.of(one, ratio) for one in config.operations] or _ssd_crops(ratio)
    cropped = crops[rng.integers(len(crops))](window, rng)
    return crop_to_aspect_ratio(RandomCropToAspectRatio(aspect_ratio=config.aspect_ratio), cropped, rng)


def ssd_random_crop_pad_fixed_aspect_ratio(
    config: SsdRandomCropPadFixedAspectRatio, window: Window, rng: Generator
) -> Window:
    crops = [Crop.of(one) for one in config.operations] or _ssd_crops((0.5, 2.0))
    cropped = crops[rng.integers(len(crops))](window, rng)
    least, most = _padded_sizes(config, cropped)
    return pad_to_aspect_ratio(cropped, config.aspect_ratio, least, most, rng)


def sample_window(height: int, width: int, boxes: Boxes, crop: Crop, rng: Generator) -> tuple[int, int, int, int]:
    """A crop as `tf.image.sample_distorted_bounding_box` draws it: the first of a hundred that is as it must be.

    Args:
        height, width: The image's.
        boxes: As shares of it; an image without any counts as one box.
        crop: What is wanted.
        rng: Four numbers an attempt.

    Returns:
        Top, left, height and width, in pixels; the whole image where no attempt fits.
    """
    drawn = rng.random((4, ATTEMPTS))
    ratios = crop.aspect_ratio[0] + drawn[0] * (crop.aspect_ratio[1] - crop.aspect_ratio[0])
    least, most = crop.area[0] * height * width, crop.area[1] * height * width
    tallest = np.minimum(np.minimum(np.rint(np.sqrt(most / ratios)), np.floor((width + 0.5) / ratios)), height)
    shortest = np.minimum(np.rint(np.sqrt(least / ratios)), tallest)
    heights = shortest + np.floor(drawn[1] * (tallest - shortest + 1))
    widths = np.rint(heights * ratios)
    # Rounding alone must not make a crop too small or too large.
    heights += np.where(widths * heights < least, 1, np.where(widths * heights > most, -1, 0))
    widths = np.rint(heights * ratios)
    areas = heights * widths
    sound = (areas >= max(least, 1)) & (areas <= most) & (heights <= height) & (widths <= width)
    tops, lefts = np.floor(drawn[2] * (height - heights)), np.floor(drawn[3] * (width - widths))
    sound &= _covers(boxes, height, width, tops, lefts, heights, widths) >= crop.covered
    first = int(sound.argmax())
    if not sound[first]:
        return 0, 0, height, width
    return int(tops[first]), int(lefts[first]), int(heights[first]), int(widths[first])


def _covers(
    boxes: Boxes,
    height: int,
    width: int,
    tops: NDArray[np.float64],
    lefts: NDArray[np.float64],
    heights: NDArray[np.float64],
    widths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The greatest share of a box that each window covers; boxes below a pixel do not count."""
    if not len(boxes):
        boxes = np.array([[0.0, 0.0, 1.0, 1.0]])
    ymin, xmin, ymax, xmax = np.floor(np.clip(boxes, 0, 1) * (height, width, height, width)).T
    areas = (ymax - ymin) * (xmax - xmin)
    tall = np.minimum(ymax, (tops + heights)[:, None]) - np.maximum(ymin, tops[:, None])
    wide = np.minimum(xmax, (lefts + widths)[:, None]) - np.maximum(xmin, lefts[:, None])
    shares = np.maximum(tall, 0) * np.maximum(wide, 0) / np.maximum(areas, 1)
    return np.asarray(np.where(areas >= 1, shares, -1.0).max(axis=1))


def _cut(window: Window, top: int, left: int, height: int, width: int, overlap: float, clip: bool) -> Window:
    part = (top / window.height, left / window.width, (top + height) / window.height, (left + width) / window.width)
    return window.through(part, (height, width), overlap, clip=clip)


def _crop_and_pad(crop: Crop, sizes: Any, fill: Colour | None, window: Window, rng: Generator) -> Window:
    """A crop on a canvas whose size is told in terms of the image before the crop."""
    least, most = _padded_sizes(sizes, window)
    return pad(crop(window, rng), least, most, fill, rng)


def _padded_sizes(config: Any, window: Window) -> tuple[tuple[float, float], tuple[float, float]]:
    least, most = config.min_padded_size_ratio or (1.0, 1.0), config.max_padded_size_ratio or (2.0, 2.0)
    return (least[0] * window.height, least[1] * window.width), (most[0] * window.height, most[1] * window.width)


def _ssd_crops(aspect_ratio: tuple[float, float]) -> list[Crop]:
    return [Crop(overlap, aspect_ratio, (0.1, 1.0), overlap, True, 0.15) for overlap in SSD_OVERLAPS]
