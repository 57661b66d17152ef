# SPDX-License-Identifier: Apache-2.0
"""`autoaugment_image`: learned policies of two or three operations, https://arxiv.org/abs/1906.11172.

Policies and magnitudes are those of the OD API's `utils/autoaugment_utils.py`. Unlike there, boxes keep their fractions
of pixels, turned and sheared images are resampled bilinearly, and a box that leaves the image is dropped where the API
keeps a sliver at the border.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training_src.models.config.augmentation import AutoAugmentImage
from training_src.training.augmentation.colour import grey
from training_src.training.augmentation.window import Boxes, Pixels, Window

GREY = (128, 128, 128)
# Operation, probability, level from 0 to 10.
Operation: TypeAlias = tuple[str, float, int]
# Takes image, boxes, level and generator.
Change: TypeAlias = Callable[[Pixels, Boxes, float, Generator], tuple[Pixels, Boxes]]

_V0: list[list[Operation]] = [
    [("TranslateX_BBox", 0.6, 4), ("Equalize", 0.8, 10)],
    [("TranslateY_Only_BBoxes", 0.2, 2), ("Cutout", 0.8, 8)],
    [("Sharpness", 0.0, 8), ("ShearX_BBox", 0.4, 0)],
    [("ShearY_BBox", 1.0, 2), ("TranslateY_Only_BBoxes", 0.6, 6)],
    [("Rotate_BBox", 0.6, 10), ("Color", 1.0, 6)],
]
POLICIES: dict[str, list[list[Operation]]] = {
    "v0": _V0,
    "v1": [
        *_V0,
        [("Color", 0.0, 0), ("ShearX_Only_BBoxes", 0.8, 4)],
        [("ShearY_Only_BBoxes", 0.8, 2), ("Flip_Only_BBoxes", 0.0, 10)],
        [("Equalize", 0.6, 10), ("TranslateX_BBox", 0.2, 2)],
        [("Color", 1.0, 10), ("TranslateY_Only_BBoxes", 0.4, 6)],
        [("Rotate_BBox", 0.8, 10), ("Contrast", 0.0, 10)],
        [("Cutout", 0.2, 2), ("Brightness", 0.8, 10)],
        [("Color", 1.0, 6), ("Equalize", 1.0, 2)],
        [("Cutout_Only_BBoxes", 0.4, 6), ("TranslateY_Only_BBoxes", 0.8, 2)],
        [("Color", 0.2, 8), ("Rotate_BBox", 0.8, 10)],
        [("Sharpness", 0.4, 4), ("TranslateY_Only_BBoxes", 0.0, 4)],
        [("Sharpness", 1.0, 4), ("SolarizeAdd", 0.4, 4)],
        [("Rotate_BBox", 1.0, 8), ("Sharpness", 0.2, 8)],
        [("ShearY_BBox", 0.6, 10), ("Equalize_Only_BBoxes", 0.6, 8)],
        [("ShearX_BBox", 0.2, 6), ("TranslateY_Only_BBoxes", 0.2, 10)],
        [("SolarizeAdd", 0.6, 8), ("Brightness", 0.8, 10)],
    ],
    "v2": [
        [("Color", 0.0, 6), ("Cutout", 0.6, 8), ("Sharpness", 0.4, 8)],
        [("Rotate_BBox", 0.4, 8), ("Sharpness", 0.4, 2), ("Rotate_BBox", 0.8, 10)],
        [("TranslateY_BBox", 1.0, 8), ("AutoContrast", 0.8, 2)],
        [("AutoContrast", 0.4, 6), ("ShearX_BBox", 0.8, 8), ("Brightness", 0.0, 10)],
        [("SolarizeAdd", 0.2, 6), ("Contrast", 0.0, 10), ("AutoContrast", 0.6, 0)],
        [("Cutout", 0.2, 0), ("Solarize", 0.8, 8), ("Color", 1.0, 4)],
        [("TranslateY_BBox", 0.0, 4), ("Equalize", 0.6, 8), ("Solarize", 0.0, 10)],
        [("TranslateY_BBox", 0.2, 2), ("ShearY_BBox", 0.8, 8), ("Rotate_BBox", 0.8, 8)],
        [("Cutout", 0.8, 8), ("Brightness", 0.8, 8), ("Cutout", 0.2, 2)],
        [("Color", 0.8, 4), ("TranslateY_BBox", 1.0, 6), ("Rotate_BBox", 0.6, 6)],
        [("Rotate_BBox", 0.6, 10), ("BBox_Cutout", 1.0, 4), ("Cutout", 0.2, 8)],
        [("Rotate_BBox", 0.0, 0), ("Equalize", 0.6, 6), ("ShearY_BBox", 0.6, 8)],
        [("Brightness", 0.8, 8), ("AutoContrast", 0.4, 2), ("Brightness", 0.2, 2)],
        [("TranslateY_BBox", 0.4, 8), ("Solarize", 0.4, 6), ("SolarizeAdd", 0.2, 10)],
        [("Contrast", 1.0, 10), ("SolarizeAdd", 0.2, 8), ("Equalize", 0.2, 4)],
    ],
    "v3": [
        [("Posterize", 0.8, 2), ("TranslateX_BBox", 1.0, 8)],
        [("BBox_Cutout", 0.2, 10), ("Sharpness", 1.0, 8)],
        [("Rotate_BBox", 0.6, 8), ("Rotate_BBox", 0.8, 10)],
        [("Equalize", 0.8, 10), ("AutoContrast", 0.2, 10)],
        [("SolarizeAdd", 0.2, 2), ("TranslateY_BBox", 0.2, 8)],
        [("Sharpness", 0.0, 2), ("Color", 0.4, 8)],
        [("Equalize", 1.0, 8), ("TranslateY_BBox", 1.0, 8)],
        [("Posterize", 0.6, 2), ("Rotate_BBox", 0.0, 10)],
        [("AutoContrast", 0.6, 0), ("Rotate_BBox", 1.0, 6)],
        [("Equalize", 0.0, 4), ("Cutout", 0.8, 10)],
        [("Brightness", 1.0, 2), ("TranslateY_BBox", 1.0, 6)],
        [("Contrast", 0.0, 2), ("ShearY_BBox", 0.8, 0)],
        [("AutoContrast", 0.8, 10), ("Contrast", 0.2, 10)],
        [("Rotate_BBox", 1.0, 10), ("Cutout", 1.0, 10)],
        [("SolarizeAdd", 0.8, 6), ("Equalize", 0.8, 8)],
    ],
}


def autoaugment(config: AutoAugmentImage, window: Window, rng: Generator) -> Window:
    """One of a policy's sub-policies, its operations each with their probability."""
    policy = POLICIES[config.policy_name]
    drawn = window.drawn()
    image, boxes, rows = drawn.pixels, drawn.boxes, drawn.rows
    for name, probability, level in policy[rng.integers(len(policy))]:
        if name.endswith("_Only_BBoxes"):
            image = _within_boxes(_ALONE[name.removesuffix("_Only_BBoxes")], image, boxes, probability / 3, level, rng)
        elif rng.random() < probability:
            image, boxes = _CHANGES[name](image, boxes, level, rng)
            inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
            boxes, rows = boxes[inside], rows[inside]
    return replace(drawn, pixels=image, boxes=boxes, rows=rows)


def _within_boxes(
    change: Change, image: Pixels, boxes: Boxes, probability: float, level: float, rng: Generator
) -> Pixels:
    """The image with some boxes' contents changed, which leaves the boxes where they are."""
    image = image.copy()
    for box in boxes[rng.permutation(len(boxes))]:
        top, left, bottom, right = _in_pixels(box, image)
        if rng.random() < probability:
            part = np.ascontiguousarray(image[top:bottom, left:right])
            image[top:bottom, left:right] = change(part, np.zeros((0, 4)), level, rng)[0]
    return image


def _colouring(change: Callable[[Pixels, float], Pixels]) -> Change:
    return lambda image, boxes, level, rng: (change(image, level), boxes)  # noqa: ARG005


def _autocontrast(image: Pixels, level: float) -> Pixels:  # noqa: ARG001
    low, high = image.min(axis=(0, 1)).astype(float), image.max(axis=(0, 1)).astype(float)
    scale = np.where(high > low, 255 / np.maximum(high - low, 1), 1.0)
    return _mapped(image, (np.arange(256)[:, None] - np.where(high > low, low, 0)) * scale)


def _equalize(image: Pixels, level: float) -> Pixels:  # noqa: ARG001
    tables = np.tile(np.arange(256)[:, None], (1, 3))
    for channel in range(3):
        counts = np.bincount(image[..., channel].ravel(), minlength=256)
        step = (counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
        if step:
            tables[1:, channel] = (np.cumsum(counts)[:-1] + step // 2) // step
            tables[0, channel] = 0
    return _mapped(image, tables)


def _posterize(image: Pixels, level: float) -> Pixels:
    shift = 8 - int(level / 10 * 4)
    return np.asarray((image >> shift) << shift, np.uint8) if shift < 8 else np.zeros_like(image)


def _solarize(image: Pixels, level: float) -> Pixels:
    return np.where(image < int(level / 10 * 256), image, 255 - image)


def _solarize_add(image: Pixels, level: float) -> Pixels:
    return np.where(image < 128, cv2.add(image, np.full_like(image, int(level / 10 * 110))), image)


def _color(image: Pixels, level: float) -> Pixels:
    return _blend(grey(image), image, level)


def _contrast(image: Pixels, level: float) -> Pixels:
    # The API's "mean" is the number of pixels over 256, which only a tiny image keeps below white.
    mean = min(image.shape[0] * image.shape[1] / 256, 255)
    return _blend(np.full_like(image, int(mean)), image, level)


def _brightness(image: Pixels, level: float) -> Pixels:
    return _blend(np.zeros_like(image), image, level)


def _sharpness(image: Pixels, level: float) -> Pixels:
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
    smooth = image.copy()
    smooth[1:-1, 1:-1] = np.asarray(cv2.filter2D(image, -1, kernel), np.uint8)[1:-1, 1:-1]
    return _blend(smooth, image, level)


def _cutout(greatest: float) -> Change:
    """A grey square, at most twice as wide as `greatest`, anywhere in the image."""

    def change(image: Pixels, boxes: Boxes, level: float, rng: Generator) -> tuple[Pixels, Boxes]:
        half = int(level / 10 * greatest)
        y, x = int(rng.integers(image.shape[0])), int(rng.integers(image.shape[1]))
        return _painted(image, y, x, half, half), boxes

    return change


def _bbox_cutout(image: Pixels, boxes: Boxes, level: float, rng: Generator) -> tuple[Pixels, Boxes]:
    """A grey rectangle in one of the boxes, up to three quarters of its size."""
    if not len(boxes):
        return image, boxes
    top, left, bottom, right = _in_pixels(boxes[rng.integers(len(boxes))], image)
    share = level / 10 * 0.75 / 2
    y, x = int(rng.integers(top, bottom)), int(rng.integers(left, right))
    return _painted(image, y, x, int(share * (bottom - top)), int(share * (right - left))), boxes


def _painted(image: Pixels, y: int, x: int, half_height: int, half_width: int) -> Pixels:
    image = image.copy()
    image[max(y - half_height, 0) : y + half_height, max(x - half_width, 0) : x + half_width] = GREY
    return image


def _rotate(image: Pixels, boxes: Boxes, level: float, rng: Generator) -> tuple[Pixels, Boxes]:
    angle = math.radians(level / 10 * 30) * rng.choice((-1, 1))
    height, width = image.shape[:2]
    cosine, sine = math.cos(angle), math.sin(angle)
    to_centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    turn = np.array([[cosine, -sine, width / 2], [sine, cosine, height / 2], [0, 0, 1]])
    return _moved(image, boxes, turn @ to_centre)


def _translate(greatest: float, *, across: bool) -> Change:
    def change(image: Pixels, boxes: Boxes, level: float, rng: Generator) -> tuple[Pixels, Boxes]:
        distance = float(int(level / 10 * greatest) * rng.choice((-1, 1)))
        return _moved(
            image, boxes, np.array([[1, 0, distance if across else 0], [0, 1, 0 if across else distance], [0, 0, 1]])
        )

    return change


def _shear(*, across: bool) -> Change:
    def change(image: Pixels, boxes: Boxes, level: float, rng: Generator) -> tuple[Pixels, Boxes]:
        slope = level / 10 * 0.3 * rng.choice((-1, 1))
        return _moved(
            image, boxes, np.array([[1, slope if across else 0, 0], [0 if across else slope, 1, 0], [0, 0, 1]])
        )

    return change


def _flip(image: Pixels, boxes: Boxes, level: float, rng: Generator) -> tuple[Pixels, Boxes]:  # noqa: ARG001
    return np.ascontiguousarray(image[:, ::-1]), boxes


def _moved(image: Pixels, boxes: Boxes, matrix: NDArray[np.float64]) -> tuple[Pixels, Boxes]:
    """Pixels and boxes under an affine map of points (x, y), in pixels from the upper left corner; clipped boxes.

    OpenCV counts from the first pixel's centre, boxes from its edge.
    """
    height, width = image.shape[:2]
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    centred = np.linalg.inv(half) @ matrix @ half
    moved = cv2.warpAffine(image, centred[:2], (width, height), flags=cv2.INTER_LINEAR, borderValue=GREY)
    ymin, xmin, ymax, xmax = (boxes * (height, width, height, width)).T
    corners = np.stack([[xmin, xmax, xmin, xmax], [ymin, ymin, ymax, ymax]])
    x, y = np.einsum("ij,jkn->ikn", matrix[:2, :2], corners) + matrix[:2, 2, None, None]
    found = np.stack([y.min(axis=0), x.min(axis=0), y.max(axis=0), x.max(axis=0)], axis=1)
    return np.asarray(moved, np.uint8), np.clip(found / (height, width, height, width), 0.0, 1.0)


def _in_pixels(box: Boxes, image: Pixels) -> tuple[int, int, int, int]:
    """The pixels that a box touches, at least one each way: top, left, bottom, right."""
    height, width = image.shape[:2]
    ymin, xmin, ymax, xmax = np.clip(box, 0, 1) * (height, width, height, width)
    top, left = min(int(ymin), height - 1), min(int(xmin), width - 1)
    return top, left, max(min(math.ceil(ymax), height), top + 1), max(min(math.ceil(xmax), width), left + 1)


def _blend(degenerate: Pixels, image: Pixels, level: float) -> Pixels:
    """Between and beyond two images; the level's factor is 0.1 to 1.9, and 1 is the second."""
    factor = level / 10 * 1.8 + 0.1
    return np.asarray(cv2.addWeighted(image, factor, degenerate, 1 - factor, 0.0), np.uint8)


def _mapped(image: Pixels, tables: NDArray[np.generic]) -> Pixels:
    """Each channel's levels replaced: `(256, 3)`."""
    table = np.clip(np.floor(tables.astype(np.float64)), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)


_CHANGES: dict[str, Change] = {
    "AutoContrast": _colouring(_autocontrast),
    "Equalize": _colouring(_equalize),
    "Posterize": _colouring(_posterize),
    "Solarize": _colouring(_solarize),
    "SolarizeAdd": _colouring(_solarize_add),
    "Color": _colouring(_color),
    "Contrast": _colouring(_contrast),
    "Brightness": _colouring(_brightness),
    "Sharpness": _colouring(_sharpness),
    "Cutout": _cutout(100),
    "BBox_Cutout": _bbox_cutout,
    "Rotate_BBox": _rotate,
    "TranslateX_BBox": _translate(250, across=True),
    "TranslateY_BBox": _translate(250, across=False),
    "ShearX_BBox": _shear(across=True),
    "ShearY_BBox": _shear(across=False),
}
_ALONE: dict[str, Change] = {
    "Equalize": _colouring(_equalize),
    "Cutout": _cutout(50),
    "ShearX": _shear(across=True),
    "ShearY": _shear(across=False),
    "TranslateY": _translate(120, across=False),
    "Flip": _flip,
}
