# SPDX-License-Identifier: Apache-2.0
"""A histogram of boxes' widths and heights, as `dataset.json` carries it."""

import json

import numpy as np

from training_src.models.anchor_overlaps import BoxArrays
from training_src.models.box_shapes import BoxShapes, side


def boxes(*sides: tuple[float, float, int], image: tuple[int, int] = (640, 480)) -> BoxArrays:
    """Widths and heights in pixels with labels, in the middle of images of one size."""
    width, height, label = np.array(sides, np.float32).T
    count = len(sides)
    across, down = (np.full(count, length, np.float32) for length in image)
    centre = np.full(count, 0.5, np.float32)
    return BoxArrays(
        width, height, across, down, centre, centre, label.astype(np.int64), np.zeros(count, np.int64)
    )  # fmt: skip


def test_boxes_are_counted_by_class_as_shares_of_their_images() -> None:
    counted = BoxShapes.counted(boxes((320, 120, 1), (330, 118, 1), (640, 480, 1), (40, 30, 4)), {1: "car", 4: "sign"})
    assert counted.counts == {"car": {(-4, -8): 2, (0, 0): 1}, "sign": {(-16, -16): 1}}
    assert counted.longer_side == 640
    assert (side(-4), side(-8), side(0)) == (0.5, 0.25, 1.0)


def test_what_is_written_is_read_and_a_class_without_boxes_stays() -> None:
    counted = BoxShapes.counted(boxes((11, 70, 1), (9, 0.01, 1)), {1: "car", 2: "bus"})
    read = BoxShapes.read({"box_shapes": json.loads(json.dumps(counted.as_json()))})
    assert read == counted
    assert read is not None and not read.counts["bus"]


def test_a_data_set_of_an_older_version_has_none() -> None:
    assert BoxShapes.read({"images": 3}) is None
    assert BoxShapes.read({"box_shapes": None}) is None
