# SPDX-License-Identifier: Apache-2.0
"""Which boxes anchors reach: the same as overlapping every box with every anchor of the detector."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training_src.data.report.anchors import read_anchors
from training_src.models.anchor_overlaps import Anchors, BoxArrays, best_overlaps
from training_src.models.anchors import generate_anchors
from training_src.models.config.pipeline import load_bundled


def boxes(count: int = 60) -> BoxArrays:
    rng = np.random.default_rng(1)
    width, height = (np.exp(rng.uniform(1, 5.5, count)).astype(np.float32) for _ in range(2))
    image_width, image_height = np.full(count, 400, np.float32), np.full(count, 300, np.float32)
    x, y = (rng.uniform(0.1, 0.9, count).astype(np.float32) for _ in range(2))
    labels, splits = np.ones(count, np.int64), np.zeros(count, np.int64)
    return BoxArrays(width, height, image_width, image_height, x, y, labels, splits)


def every_anchor(anchors: Anchors) -> NDArray[np.float64]:
    """All of them: x, y, width, height."""
    found = []
    for level in anchors.levels:
        columns, rows = level.cells
        x = np.arange(columns) * level.stride[0] + level.offset[0]
        y = np.arange(rows) * level.stride[1] + level.offset[1]
        for width, height in level.shapes:
            grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
            found.append(np.concatenate([grid, np.full((len(grid), 2), (width, height))], axis=1))
    return np.concatenate(found)


@pytest.mark.parametrize("architecture", ["ssd_mobilenet_v2_fpnlite_320x320", "ssd_mobilenet_v2_320x320"])
def test_best_overlaps_are_those_of_all_anchors(architecture: str) -> None:
    anchors = read_anchors(architecture, None, 2)
    assert anchors is not None
    given = boxes()
    _, here, _ = best_overlaps(given, anchors)
    scale = np.array([anchors.width / 400, anchors.height / 300])
    centre = np.stack([given.centre_x * 400, given.centre_y * 300], axis=1) * scale
    size = np.stack([given.width, given.height], axis=1) * scale
    placed = every_anchor(anchors)
    low = np.maximum((centre - size / 2)[:, None], (placed[:, :2] - placed[:, 2:] / 2)[None])
    high = np.minimum((centre + size / 2)[:, None], (placed[:, :2] + placed[:, 2:] / 2)[None])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    union = size.prod(axis=1)[:, None] + placed[:, 2:].prod(axis=1)[None] - common
    np.testing.assert_allclose(here, (common / union).max(axis=1), atol=1e-4)


def test_anchors_are_those_of_the_model() -> None:
    anchors = read_anchors("ssd_mobilenet_v2_fpnlite_320x320", None, 2)
    assert anchors is not None
    model = load_bundled("ssd_mobilenet_v2_fpnlite_320x320", 2).config.model.ssd
    assert model is not None
    shapes = [(40, 40), (20, 20), (10, 10), (5, 5), (3, 3)]
    expected = np.asarray(generate_anchors(model.anchor_generator, shapes, 320, 320)) * 320
    centres = np.stack([expected[:, 1] + expected[:, 3], expected[:, 0] + expected[:, 2]], axis=1) / 2
    sizes = np.stack([expected[:, 3] - expected[:, 1], expected[:, 2] - expected[:, 0]], axis=1)
    ours, theirs = every_anchor(anchors), np.concatenate([centres, sizes], axis=1)
    ours, theirs = (one[np.lexsort(np.round(one).T)] for one in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_an_anchor_right_on_a_box_is_the_bound_of_the_one_that_stands_there() -> None:
    for architecture in (
        "ssd_mobilenet_v2_fpnlite_640x640",
        "efficientdet_d1_640x640",
        "faster_rcnn_resnet50_v1_800x1333",
    ):
        anchors = read_anchors(architecture, None, 2)
        assert anchors is not None
        ever, here, home = best_overlaps(boxes(), anchors)
        assert (ever >= here - 1e-6).all()
        assert (ever <= 1).all()
        assert set(home.tolist()) <= set(range(len(anchors.levels)))


def test_no_detector_no_anchors() -> None:
    assert read_anchors("", None, 2) is None
