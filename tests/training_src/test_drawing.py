# SPDX-License-Identifier: Apache-2.0
"""Boxes end up where they belong, whatever the image's size."""

import numpy as np
import pytest

from training_src.data.images import decode_upright
from training_src.drawing import Mark, draw, encode_jpeg

BOX = np.array([0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize("size", [(120, 160), (960, 1280)])
def test_a_box_is_drawn_at_its_place(size: tuple[int, int]) -> None:
    drawn = draw(np.zeros((*size, 3), np.uint8), [Mark(BOX, "", "#ff0000")], longest=400)
    assert drawn.shape == (300, 400, 3)
    red = np.argwhere((drawn[..., 0] > 200) & (drawn[..., 1] < 60))
    assert np.abs(red.min(axis=0) - [75, 200]).max() <= 2
    assert np.abs(red.max(axis=0) - [225, 399]).max() <= 2
    assert not drawn[150, 300].any()


def test_dashes_leave_gaps() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    solid, dashed = (draw(image, [Mark(BOX, "", "#ffffff", dashed)], 400)[100] for dashed in (False, True))
    assert (solid[200:].max(axis=1) > 200).mean() > 0.95
    assert 0.4 < (dashed[200:].max(axis=1) > 100).mean() < 0.9


@pytest.mark.parametrize("box", [[0, 0, 1, 1], [0, 0.95, 0.02, 1], [0.98, 0, 1, 0.05], [0.5, 0.5, 0.5, 0.5]])
@pytest.mark.parametrize("dashed", [False, True])
def test_labels_stay_inside_the_image(box: list[float], dashed: bool) -> None:
    drawn = draw(
        np.zeros((300, 400, 3), np.uint8), [Mark(np.array(box), "Fußgänger 行人 0.93", "#00ff00", dashed)], 400
    )
    chip = (drawn[..., 1] > 200) & (drawn[..., 0] < 60) & (drawn[..., 2] < 60)
    assert chip.sum() > 1000  # the whole chip is seen


def test_the_image_given_stays_as_it_was() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    draw(image, [Mark(BOX, "car", "#ff0000")], 400)
    assert not image.any()


def test_colours_survive_encoding() -> None:
    image = np.full((32, 32, 3), (200, 100, 20), np.uint8)
    assert np.abs(decode_upright(encode_jpeg(image)).astype(int) - image).max() < 6
