# SPDX-License-Identifier: Apache-2.0
"""Detection in overlapping windows beside the whole picture, for objects that the network's input would make too small.

The idea, and the overlap of a fifth, are those of https://arxiv.org/abs/2202.06934 (slicing aided hyper inference).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference_src.detections import Detections
from inference_src.images import Image

OVERLAP = 0.2
"""Fraction of a window that the next one sees, too."""
MAX_OVERLAP_OF_BOXES = 0.5
"""Greatest intersection over union, and over the smaller one, of two boxes of a class that both stay."""
_EDGE = 0.01
"""Fraction of a window's side within which a box counts as cut off by its edge."""

Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """A part of a picture, in pixels; `bottom` and `right` are behind its last."""

    top: int
    left: int
    bottom: int
    right: int


def windows(height: int, width: int, columns: int, rows: int) -> list[Window]:
    """Cut a picture into windows of the same size that overlap by `OVERLAP`."""
    return [
        Window(top, left, bottom, right)
        for top, bottom in _intervals(height, rows)
        for left, right in _intervals(width, columns)
    ]


def detect_in_tiles(image: Image, detect: Callable[[Image], Detections], columns: int, rows: int) -> Detections:
    """Find objects in a picture and in each of its windows.

    Args:
        image: uint8 [height, width, 3] RGB.
        detect: The detector.
        columns, rows: Of the windows.

    Returns:
        The detections of all together, best first, without padding; boxes are fractions of the whole picture. Of
        several boxes of a class that overlap the best stays.
    """
    height, width = image.shape[:2]
    whole = detect(image)
    found = [(whole.boxes[: whole.count], whole.scores[: whole.count], whole.classes[: whole.count])]
    for window in windows(height, width, columns, rows):
        part = detect(np.ascontiguousarray(image[window.top : window.bottom, window.left : window.right]))
        kept = _whole_objects(part.boxes[: part.count], window, height, width)
        boxes = _in_picture(part.boxes[: part.count][kept], window, height, width)
        found.append((boxes, part.scores[: part.count][kept], part.classes[: part.count][kept]))
    boxes, scores, classes = (np.concatenate(each) for each in zip(*found, strict=True))
    rows_kept = suppress(boxes, scores, classes)
    return Detections(boxes[rows_kept], scores[rows_kept], classes[rows_kept], len(rows_kept))


def suppress(boxes: Boxes, scores: NDArray[np.float32], classes: NDArray[np.int32]) -> NDArray[np.intp]:
    """Of boxes of one class that overlap keep the best.

    Args:
        boxes: [N, 4], ymin, xmin, ymax, xmax.
        scores: [N].
        classes: [N].

    Returns:
        The rows that stay, best first.
    """
    left = np.argsort(-scores, kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        same = classes[left] == classes[best]
        left = left[~(same & (_overlaps(boxes[best], boxes[left]) > MAX_OVERLAP_OF_BOXES))]
    return np.array(kept, np.intp)


def _intervals(length: int, count: int) -> list[tuple[int, int]]:
    side = min(length, round(length / (count - (count - 1) * OVERLAP) + 0.5))
    return [(start, start + side) for start in np.linspace(0, length - side, count).round().astype(int).tolist()]


def _whole_objects(boxes: Boxes, window: Window, height: int, width: int) -> NDArray[np.bool_]:
    """Which boxes no inner edge of their window cuts off: another window, or the picture, has the whole object."""
    top, left, bottom, right = boxes.T
    return np.asarray(
        ((top > _EDGE) | (window.top == 0))
        & ((left > _EDGE) | (window.left == 0))
        & ((bottom < 1 - _EDGE) | (window.bottom == height))
        & ((right < 1 - _EDGE) | (window.right == width))
    )


def _in_picture(boxes: Boxes, window: Window, height: int, width: int) -> Boxes:
    """Turn fractions of a window into fractions of its picture."""
    side = np.array([window.bottom - window.top, window.right - window.left] * 2, np.float32)
    corner = np.array([window.top, window.left] * 2, np.float32)
    return np.asarray((boxes * side + corner) / np.array([height, width] * 2, np.float32), np.float32)


def _overlaps(box: Boxes, boxes: Boxes) -> NDArray[np.float32]:
    """Intersection over the smaller of two boxes: a part of an object that a window cut off lies in the whole one."""
    shared = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(axis=1)
    smaller = np.minimum((box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    return np.asarray(shared / np.maximum(smaller, np.float32(1e-12)), np.float32)
