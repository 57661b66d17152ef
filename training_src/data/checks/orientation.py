# SPDX-License-Identifier: Apache-2.0
"""Turning an image, and its boxes, as EXIF's orientation says.

Orientations: 1 upright, 2 mirrored, 3 turned by 180 degrees, 4 flipped, 5 transposed, 6 to be turned clockwise,
7 transposed along the other diagonal, 8 to be turned counter-clockwise.
Source: https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf, 4.6.4 A.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import simplejpeg

from training_src.data.dataset import Box, LabelledImage
from training_src.data.images import BrokenImageError, ImageFacts

_JPEG_QUALITY = 95

Pixels = np.ndarray[Any, np.dtype[Any]]


def turn(labelled: LabelledImage, encoded: bytes, facts: ImageFacts) -> tuple[LabelledImage, bytes, ImageFacts, bool]:
    """The image upright, encoded anew.

    Boxes are turned too, unless the annotation states the upright size (and that differs from the stored one): then
    whoever drew them saw the image upright.

    Returns:
        The image with its boxes, its bytes, its facts, and whether the boxes were turned.
    """
    upright = _turned_pixels(encoded, facts)
    height, width = upright.shape[:2]
    stated = (labelled.width, labelled.height)
    boxes_too = stated != (width, height) or (width, height) == (facts.width, facts.height)
    boxes = labelled.boxes
    if boxes_too:
        boxes = tuple(turn_box(box, facts.width, facts.height, facts.orientation) for box in boxes)
        if stated == (facts.width, facts.height):
            stated = (width, height)
    turned = replace(labelled, boxes=boxes, width=stated[0], height=stated[1])
    return turned, _encode(upright, facts.format), ImageFacts(facts.format, width, height), boxes_too


def turn_box(box: Box, width: int, height: int, orientation: int) -> Box:
    """A box of a stored image of that size, in the upright image."""
    xmin, ymin, xmax, ymax = box.xmin, box.ymin, box.xmax, box.ymax
    if orientation in (2, 3, 7, 8):
        xmin, xmax = width - xmax, width - xmin
    if orientation in (3, 4, 6, 7):
        ymin, ymax = height - ymax, height - ymin
    if orientation >= 5:
        xmin, ymin, xmax, ymax = ymin, xmin, ymax, xmax
    return replace(box, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)


def _turned_pixels(encoded: bytes, facts: ImageFacts) -> Pixels:
    if facts.format == "jpeg":
        pixels = simplejpeg.decode_jpeg(encoded, colorspace="RGB")
    else:
        flags = cv2.IMREAD_UNCHANGED  # keeps the depth and alpha; it does not turn
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    if pixels is None:
        raise BrokenImageError("cannot be decoded (damaged PNG)")
    if facts.orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if facts.orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    if facts.orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(pixels)


def _encode(pixels: Pixels, format_: str) -> bytes:
    if format_ == "jpeg":
        return bytes(simplejpeg.encode_jpeg(pixels, quality=_JPEG_QUALITY, colorspace="RGB", colorsubsampling="444"))
    return bytes(cv2.imencode(".png", pixels)[1])
