# SPDX-License-Identifier: Apache-2.0
"""Boxes in columns: their overlap, and which rows belong to which image."""

import numpy as np

from training_src.evaluation.boxes import intersection_over_union, rows_by_image, to_pixels


def test_intersection_over_union_of_known_boxes() -> None:
    boxes = np.array([[0.0, 0.0, 1.0, 1.0], [0.2, 0.2, 0.2, 0.2]])
    others = np.array([[0.0, 0.0, 0.5, 1.0], [0.2, 0.2, 0.2, 0.2]])
    assert intersection_over_union(boxes, others).tolist() == [[0.5, 0.0], [0.0, 0.0]]


def test_rows_of_each_image_keep_their_order() -> None:
    rows = rows_by_image(np.array([2, 0, 2, 0]), 4)
    assert [row.tolist() for row in rows] == [[1, 3], [], [0, 2], []]
    assert rows_by_image(np.zeros(0, int), 2)[1].tolist() == []
    assert rows_by_image(np.zeros(0, int), 0) == []


def test_pixels_take_height_for_y_and_width_for_x() -> None:
    pixels = to_pixels(np.array([[0.1, 0.2, 0.5, 0.4]]), np.array([[100, 200]]), np.array([0]))
    assert np.allclose(pixels, [[40, 10, 40, 40]])
