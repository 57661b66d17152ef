# SPDX-License-Identifier: Apache-2.0
"""Boxes and labels drawn on images, for the report."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training_src.errors import DataError

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

# RGB, told apart by most eyes on light and dark ground; the same order as the report's curves.
PALETTE: tuple[str, ...] = (
    "#2f7ed8", "#f08c00", "#0ca678", "#d6409f", "#7950f2", "#e8590c", "#15aabf", "#94d82d", "#a98467", "#868e96",
)  # fmt: skip
MISSED = "#ffd43b"
FALSE_ALARM = "#fa5252"
_FONT = cv2.FONT_HERSHEY_DUPLEX


@dataclass(frozen=True)
class Mark:
    """One box to draw.

    Attributes:
        box: ymin, xmin, ymax, xmax as fractions of the image.
        label: Text on its chip; none if empty.
        colour: As `#rrggbb`.
        dashed: Drawn with dashes, for what should have been found.
    """

    box: NDArray[np.floating[Any]]
    label: str
    colour: str
    dashed: bool = False


def colours(labels: Iterable[int]) -> dict[int, str]:
    """A colour for each class, by label-map id."""
    return {label: PALETTE[at % len(PALETTE)] for at, label in enumerate(sorted(labels))}


def encode_jpeg(image: Image, quality: int = 86) -> bytes:
    """An RGB image as JPEG."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise DataError("an image cannot be encoded as JPEG")
    return bytes(data)


def draw(image: Image, marks: Sequence[Mark], longest: int = 560) -> Image:
    """A copy whose longer side is `longest` pixels, with boxes drawn at that size so that labels can be read."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
    for mark in marks:
        _draw_box(canvas, mark)
    for mark in marks:
        if mark.label:
            _draw_label(canvas, mark)
    return canvas


def _draw_box(canvas: Image, mark: Mark) -> None:
    left, top, right, bottom = _corners(canvas, mark)
    colour = _rgb(mark.colour)
    if not mark.dashed:
        cv2.rectangle(canvas, (left, top), (right, bottom), (20, 20, 20), 4, cv2.LINE_AA)
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, 2, cv2.LINE_AA)
        return
    for start, end in (
        ((left, top), (right, top)),
        ((right, top), (right, bottom)),
        ((right, bottom), (left, bottom)),
        ((left, bottom), (left, top)),
    ):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        for at in range(0, max(length, 1), 10):
            piece = [_between(start, end, min(offset / max(length, 1), 1)) for offset in (at, at + 5)]
            cv2.line(canvas, piece[0], piece[1], (20, 20, 20), 4, cv2.LINE_AA)
            cv2.line(canvas, piece[0], piece[1], colour, 2, cv2.LINE_AA)


def _draw_label(canvas: Image, mark: Mark) -> None:
    left, top, _, bottom = _corners(canvas, mark)
    text = _ascii(mark.label)
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.42, 1)
    chip = height + 8
    x = min(max(left - 1, 0), max(canvas.shape[1] - width - 8, 0))
    y = _label_top(top, bottom, chip, canvas.shape[0], below=mark.dashed)
    colour = _rgb(mark.colour)
    cv2.rectangle(canvas, (x, y), (x + width + 8, y + chip), colour, cv2.FILLED)
    dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 150
    ink = (20, 20, 20) if dark else (255, 255, 255)
    cv2.putText(canvas, text, (x + 4, y + height + 4), _FONT, 0.42, ink, 1, cv2.LINE_AA)


def _label_top(top: int, bottom: int, chip: int, height: int, *, below: bool) -> int:
    """Where a label starts: above a detection, below what was missed, so that neither covers the other's."""
    over, under, lowest = top - chip, bottom + 1, height - chip
    if below:
        return under if under <= lowest else max(over, 0)
    return over if over >= 0 else min(under, lowest)


def _corners(canvas: Image, mark: Mark) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels."""
    height, width = canvas.shape[:2]
    ymin, xmin, ymax, xmax = np.clip(np.asarray(mark.box, np.float64), 0, 1)
    return round(xmin * (width - 1)), round(ymin * (height - 1)), round(xmax * (width - 1)), round(ymax * (height - 1))


def _between(start: tuple[int, int], end: tuple[int, int], share: float) -> tuple[int, int]:
    return round(start[0] + (end[0] - start[0]) * share), round(start[1] + (end[1] - start[1]) * share)


def _rgb(colour: str) -> Colour:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _ascii(label: str) -> str:
    """OpenCV's fonts have ASCII letters only: accents go, other scripts become dots."""
    plain = "".join(part for part in unicodedata.normalize("NFKD", label) if not unicodedata.combining(part))
    return "".join(part if " " <= part <= "~" else "." for part in plain)
