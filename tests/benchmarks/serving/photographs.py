# SPDX-License-Identifier: Apache-2.0
"""Requests' bodies that cost what a camera's pictures cost: JPEGs of quality 90 with about 0.3 bytes a pixel.

Street photographs of 640x640 (tests/data/urban_frames) are enlarged and cropped. What enlarging takes away of a
camera's grain is put back as noise, else there would be little to decode: 0.09 bytes a pixel at 12 MP.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

FRAMES = Path(__file__).resolve().parents[2] / "data" / "urban_frames"
QUALITY = 90
# Width, height, and the standard deviation of the noise in grey levels.
SIZES = {"640x640": (640, 640, 0.0), "1280x720": (1280, 720, 4.0), "4000x3000": (4000, 3000, 6.0)}


def photographs(size: str) -> list[bytes]:
    """One JPEG of each frame.

    Args:
        size: A key of `SIZES`.
    """
    width, height, noise = SIZES[size]
    return [_photograph(file, width, height, noise) for file in sorted(FRAMES.glob("*.jpg"))]


def _photograph(file: Path, width: int, height: int, noise: float) -> bytes:
    frame = np.asarray(cv2.imread(str(file)), np.uint8)[..., ::-1]
    scale = max(width / frame.shape[1], height / frame.shape[0])
    enlarged = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (enlarged.shape[0] - height) // 2, (enlarged.shape[1] - width) // 2
    pixels = enlarged[top : top + height, left : left + width].astype(np.float32)
    pixels += noise * np.random.default_rng(0).standard_normal((height, width, 1), np.float32)
    grained = np.ascontiguousarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return bytes(simplejpeg.encode_jpeg(grained, quality=QUALITY, colorsubsampling="420"))


def forever(items: list[bytes]) -> Iterator[bytes]:
    """The items in turn, without end."""
    while True:
        yield from items
