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
from inference_src.picture_memory import aligned

OVERLAP = 0.2
"""Fraction of a window that the next one sees, too."""
MAX_UNION = 0.6
"""Greatest intersection over union of two boxes of a class that both stay: the detectors' own."""
MAX_INSIDE = 0.5
"""The same over the smaller box, which counts where a window's edge cut one of them off: part and whole of an object
have little union."""
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


def window_bytes(height: int, width: int, columns: int, rows: int) -> int:
    """Memory of the one window that is looked at, beside the picture's own."""
    first = windows(height, width, columns, rows)[0]  # they are of one size
    return 3 * (first.bottom - first.top) * (first.right - first.left)


def detect_in_tiles(image: Image, detect: Callable[[Image], Detections], columns: int, rows: int) -> Detections:
    """Find objects in a picture and in each of its windows.

    Args:
        image: uint8 [height, width, 3] RGB.
        detect: The detector.
        columns, rows: Of the windows.

    Returns:
        The detections of all together, best first, without padding; boxes are fractions of the whole picture.
    """
    height, width = image.shape[:2]
    whole = detect(image)
    shown = slice(whole.count)
    found = [(whole.boxes[shown], whole.scores[shown], whole.classes[shown], np.zeros(whole.count, bool))]
    for window in windows(height, width, columns, rows):
        seen = aligned((window.bottom - window.top, window.right - window.left, 3))
        np.copyto(seen, image[window.top : window.bottom, window.left : window.right])
        part = detect(seen)
        shown = slice(part.count)
        inside = _in_picture(part.boxes[shown], window, height, width)
        cut_off = _cut_off(part.boxes[shown], window, height, width)
        found.append((inside, part.scores[shown], part.classes[shown], cut_off))
    boxes, scores, classes, cut = (np.concatenate(each) for each in zip(*found, strict=True))
    kept = suppress(boxes, scores, classes, cut)
    return Detections(boxes[kept], scores[kept], classes[kept], len(kept))


def suppress(
    boxes: Boxes, scores: NDArray[np.float32], classes: NDArray[np.int32], cut: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Of boxes of one class that overlap keep the best, of equal ones the first.

    Args:
        boxes: [N, 4], ymin, xmin, ymax, xmax.
        scores: [N].
        classes: [N].
        cut: [N], whether a window's edge may have cut the object off.

    Returns:
        The rows that stay, best first.
    """
    left = np.argsort(-scores, kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        union, inside = _overlaps(boxes[best], boxes[left])
        covered = (union > MAX_UNION) | ((cut[left] | cut[best]) & (inside > MAX_INSIDE))
        left = left[~(covered & (classes[left] == classes[best]))]
    return np.array(kept, np.intp)


def _intervals(length: int, count: int) -> list[tuple[int, int]]:
    side = min(length, round(length / (count - (count - 1) * OVERLAP) + 0.5))
    return [(start, start + side) for start in np.linspace(0, length - side, count).round().astype(int).tolist()]


def _cut_off(boxes: Boxes, window: Window, height: int, width: int) -> NDArray[np.bool_]:
    """Which boxes end at an edge of their window that is none of the picture's."""
    top, left, bottom, right = boxes.T
    return np.asarray(
        ((top < _EDGE) & (window.top > 0))
        | ((left < _EDGE) & (window.left > 0))
        | ((bottom > 1 - _EDGE) & (window.bottom < height))
        | ((right > 1 - _EDGE) & (window.right < width))
    )


def _in_picture(boxes: Boxes, window: Window, height: int, width: int) -> Boxes:
    """Turn fractions of a window into fractions of its picture."""
    side = np.array([window.bottom - window.top, window.right - window.left] * 2, np.float32)
    corner = np.array([window.top, window.left] * 2, np.float32)
    return np.asarray((boxes * side + corner) / np.array([height, width] * 2, np.float32), np.float32)


def _overlaps(box: Boxes, boxes: Boxes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Intersection of a box with each of others, over their union and over the smaller of the two."""
    shared = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    none = np.float32(1e-12)
    return shared / np.maximum(area + areas - shared, none), shared / np.maximum(np.minimum(area, areas), none)
