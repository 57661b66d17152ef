# SPDX-License-Identifier: Apache-2.0
"""Windows see what the whole picture shrinks away, and their boxes are those of the whole picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference_src.detections import Detections
from inference_src.images import Image
from inference_src.tiles import OVERLAP, detect_in_tiles, suppress, windows

INPUT = 100
"""Pixels of a side to which the detector below brings every image."""


class Spots:
    """Finds white squares on black, unless they are too small once the image is scaled; a class for each grey level."""

    def __init__(self, least: float = 8) -> None:
        self._least = least

    def detect(self, image: Image) -> Detections:
        height, width = image.shape[:2]
        assert image.flags.c_contiguous
        boxes, classes = [], []
        for level in np.unique(image[image > 0]):
            ys, xs = np.nonzero(image[:, :, 0] == level)
            box = np.array([ys.min() / height, xs.min() / width, (ys.max() + 1) / height, (xs.max() + 1) / width])
            if (box[2:] - box[:2]).min() * INPUT >= self._least:
                boxes.append(box)
                classes.append(level)
        padding = 3
        return Detections(
            np.array([*boxes, *[np.full(4, 0.5)] * padding], np.float32).reshape(-1, 4),
            np.array([0.9] * len(boxes) + [1.0] * padding, np.float32),
            np.array([*classes, *[7] * padding], np.int32),
            len(boxes),
        )


def scene(height: int, width: int, *spots: tuple[int, int, int, int]) -> Image:
    """Black, with squares (top, left, side, class)."""
    image = np.zeros((height, width, 3), np.uint8)
    for top, left, side, level in spots:
        image[top : top + side, left : left + side] = level
    return image


def corners(detections: Detections, height: int, width: int) -> dict[int, list[int]]:
    assert len(detections.scores) == detections.count == len(set(detections.classes.tolist()))
    pixels = np.rint(detections.boxes * [height, width, height, width]).astype(int)
    return dict(zip(detections.classes.tolist(), pixels.tolist(), strict=True))


def test_a_small_object_is_found_where_it_is() -> None:
    image = scene(600, 900, (50, 700, 30, 1), (400, 100, 30, 2))
    assert Spots().detect(image).count == 0
    found = detect_in_tiles(image, Spots().detect, 3, 2)
    assert corners(found, 600, 900) == {1: [50, 700, 80, 730], 2: [400, 100, 430, 130]}


def test_a_large_object_is_told_once_and_whole() -> None:
    """Windows see parts of it, which their edges cut off."""
    image = scene(600, 600, (100, 100, 400, 1), (10, 10, 60, 2))
    found = detect_in_tiles(image, Spots().detect, 3, 3)
    assert corners(found, 600, 600) == {1: [100, 100, 500, 500], 2: [10, 10, 70, 70]}


def test_an_object_on_the_seam_is_told_once() -> None:
    for left in range(380, 520, 7):
        image = scene(300, 900, (100, left, 40, 1))
        assert corners(detect_in_tiles(image, Spots(4).detect, 2, 1), 300, 900) == {1: [100, left, 140, left + 40]}


def test_nothing_is_nothing() -> None:
    found = detect_in_tiles(scene(50, 70), Spots().detect, 2, 2)
    assert (found.count, found.boxes.shape, found.scores.shape) == (0, (0, 4), (0,))


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), columns=st.integers(1, 8), rows=st.integers(1, 8))
def test_windows_cover_the_picture_are_alike_and_overlap(height: int, width: int, columns: int, rows: int) -> None:
    cut = windows(height, width, columns, rows)
    assert len(cut) == columns * rows
    assert len({(each.bottom - each.top, each.right - each.left) for each in cut}) == 1
    seen = np.zeros((height, width), np.uint8) if height * width < 10_000 else None
    for each in cut:
        assert 0 <= each.top < each.bottom <= height
        assert 0 <= each.left < each.right <= width
        if seen is not None:
            seen[each.top : each.bottom, each.left : each.right] += 1
    assert seen is None or seen.all()
    assert (cut[0].top, cut[0].left, cut[-1].bottom, cut[-1].right) == (0, 0, height, width)
    if columns > 1:
        shared, side = cut[0].right - cut[1].left, cut[0].right - cut[0].left
        assert shared >= OVERLAP * side - 1.5


@given(st.data())
def test_suppression_is_what_its_definition_says(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 8))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    low, sides = rng.random((count, 2)) * 0.5, rng.random((count, 2)) * 0.5 + 0.01
    boxes: NDArray[np.float32] = np.concatenate([low, low + sides], axis=1).astype(np.float32)
    scores, classes = rng.random(count).astype(np.float32), rng.integers(1, 3, count).astype(np.int32)
    kept = suppress(boxes, scores, classes, np.zeros(count, bool)).tolist()
    alone = [int(row) for row in range(count) if (classes == classes[row]).sum() == 1]
    assert set(alone) <= set(kept)
    assert scores[kept].tolist() == sorted(scores[kept].tolist(), reverse=True)
    for number in (1, 2):
        assert not (classes == number).any() or number in classes[kept]


@pytest.mark.parametrize(
    ("second", "cut", "stays"),
    [
        ([0, 0, 1, 0.7], False, False),
        ([0, 0, 1, 0.5], False, True),
        ([0, 0, 1, 0.5], True, False),
        ([0, 0.8, 1, 1.8], True, True),
    ],
)
def test_boxes_of_one_class_that_overlap_are_one(second: list[float], cut: bool, stays: bool) -> None:
    """Less of an overlap is enough where a window showed a part of the object only."""
    boxes = np.array([[0, 0, 1, 1], second], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    flags = np.array([False, cut])
    assert suppress(boxes, scores, np.array([1, 1], np.int32), flags).tolist() == [0, 1][: 1 + stays]
    assert suppress(boxes, scores, np.array([1, 2], np.int32), flags).tolist() == [0, 1]
