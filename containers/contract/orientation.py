# SPDX-License-Identifier: Apache-2.0
"""EXIF's orientation: what it says, and pixels and boxes turned by it, so that both images see a picture the same way.

Orientations: 1 upright, 2 mirrored, 3 turned by 180 degrees, 4 flipped, 5 transposed, 6 to be turned clockwise,
7 transposed along the other diagonal, 8 to be turned counter-clockwise.
Source: https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf, 4.6.4 A.
"""

from __future__ import annotations

import struct
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1
MIRRORED = frozenset((2, 3, 7, 8))
"""Left and right are swapped, before anything is transposed."""
FLIPPED = frozenset((3, 4, 6, 7))
"""Top and bottom are swapped, before anything is transposed."""
TRANSPOSED = frozenset((5, 6, 7, 8))
"""Height and width change places."""

_TAG, _SHORT = 0x0112, 3
_BAND = 64

Pixels = NDArray[Any]
_Float = TypeVar("_Float", bound=np.floating[Any])


def exif_orientation(exif: bytes) -> int:
    """The orientation in the first directory of a TIFF header, 1..8; 1 where it says none, or nonsense.

    Source: https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf, section 2.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return UPRIGHT
    try:
        (offset,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, offset)
        for place in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", exif, place)
            if tag == _TAG and kind == _SHORT:
                (value,) = struct.unpack_from(order + "H", exif, place + 8)
                return int(value) if value in range(1, 9) else UPRIGHT
    except struct.error:  # an offset that leads out of it
        pass
    return UPRIGHT


def upright_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Height and width of the upright picture, from those of the stored one."""
    return (width, height) if orientation in TRANSPOSED else (height, width)


def turn_pixels(pixels: Pixels, orientation: int) -> Pixels:
    """Turn stored pixels upright.

    Args:
        pixels: Shape [height, width] or [height, width, channels], contiguous and writable. They are used up:
            orientations 2, 3 and 4 are turned in place, the others into a second array.
        orientation: 1..8.

    Returns:
        A contiguous array.
    """
    # A pixel as one element: copying takes half the time of one channel by channel.
    whole = pixels.view(np.dtype((np.void, pixels[0, 0].nbytes))).reshape(pixels.shape[:2])
    if orientation not in TRANSPOSED:
        if orientation in FLIPPED:
            _flip(whole)
        if orientation in MIRRORED:
            _mirror(whole)
        return pixels
    if orientation in FLIPPED:
        whole = whole[::-1]
    if orientation in MIRRORED:
        whole = whole[:, ::-1]
    height, width, *channels = pixels.shape
    return whole.T.copy().view(pixels.dtype).reshape(width, height, *channels)


def turn_boxes(boxes: NDArray[_Float], orientation: int, height: float = 1, width: float = 1) -> NDArray[_Float]:
    """Turn boxes of the stored picture into those of the upright one.

    Args:
        boxes: Shape [N, 4], ymin, xmin, ymax, xmax: in pixels, or as fractions of the sides.
        orientation: 1..8.
        height, width: Of the stored picture in pixels; 1 where the boxes are fractions.
    """
    ymin, xmin, ymax, xmax = boxes.T
    if orientation in FLIPPED:
        ymin, ymax = height - ymax, height - ymin
    if orientation in MIRRORED:
        xmin, xmax = width - xmax, width - xmin
    if orientation in TRANSPOSED:
        ymin, xmin, ymax, xmax = xmin, ymin, xmax, ymax
    return np.stack([ymin, xmin, ymax, xmax], axis=1).astype(boxes.dtype, copy=False)


def _flip(pixels: Pixels) -> None:
    half = len(pixels) // 2
    top, bottom = pixels[:half], pixels[len(pixels) - half :][::-1]
    for start in range(0, half, _BAND):
        band = slice(start, start + _BAND)
        kept = top[band].copy()
        top[band] = bottom[band]
        bottom[band] = kept


def _mirror(pixels: Pixels) -> None:
    for start in range(0, len(pixels), _BAND):
        band = slice(start, start + _BAND)
        pixels[band] = pixels[band, ::-1].copy()
