# SPDX-License-Identifier: Apache-2.0
"""Crops are the API's, each out of the map that its size asks for."""

from typing import Any

import numpy as np
import tensorflow as tf

from tests.golden.case import Arrays
from training_src.models.crop_and_resize import crop_by_level, levels_of_boxes


def test_crops_of_one_map_equal_the_reference(functions: tuple[dict[str, Any], Arrays]) -> None:
    arrays = {name.split("/")[1]: array for name, array in functions[1].items() if name.startswith("crop_and_resize/")}
    boxes = tf.constant(arrays["boxes"])
    levels = levels_of_boxes(boxes, tf.constant([64.0, 64.0]), 1)
    for name, zeros_around in (("matmul", True), ("native", False)):
        expected = next(array for key, array in arrays.items() if name in key)
        crops = crop_by_level([tf.constant(arrays["features"])], boxes, levels, expected.shape[2], zeros_around)
        np.testing.assert_allclose(tf.reshape(crops, expected.shape), expected, rtol=1e-5, atol=5e-6)


def test_a_box_as_large_as_a_classifiers_image_is_of_the_last_map_but_one() -> None:
    def box(height: float, width: float) -> list[float]:
        return [0.0, 0.0, height / 448, width / 448]

    boxes = tf.constant([[box(224, 225), box(112, 113), box(448, 448), box(10, 10), box(112, 449), box(0, 0)]])
    levels = levels_of_boxes(boxes, tf.constant([448.0, 448.0]), 5)
    # Of each map twice as far, down to the finest; by the root of the area; what has none is of the finest.
    np.testing.assert_array_equal(levels, [[3, 2, 4, 0, 3, 0]])
    # Twice as many pixels across: all boxes are an octave larger.
    np.testing.assert_array_equal(levels_of_boxes(boxes, tf.constant([896.0, 896.0]), 5), [[4, 3, 4, 0, 4, 0]])


def test_each_crop_is_of_its_own_map_and_image_in_the_order_of_the_boxes() -> None:
    # A pixel says which map and image it is of.
    maps = [
        tf.stack([tf.fill([side, side, 1], 10.0 * level + image) for image in (0, 1)])
        for level, side in enumerate((8, 4, 2))
    ]
    boxes = tf.tile(tf.constant([0.1, 0.1, 0.9, 0.9]), [8])
    levels = tf.constant([[2, 0, 0, 2], [0, 2, 2, 0]])
    crops = crop_by_level(maps, tf.reshape(boxes, [2, 4, 4]), levels, 3, zeros_around=True)
    assert crops.shape == (8, 3, 3, 1)
    np.testing.assert_allclose(crops[:, 1, 1, 0], [20, 0, 0, 20, 1, 21, 21, 1])
    np.testing.assert_allclose(crops, tf.broadcast_to(crops[:, 1:2, 1:2], [8, 3, 3, 1]), rtol=1e-6)


def test_maps_learn_from_their_own_crops_alone() -> None:
    maps = [tf.ones([1, side, side, 1]) for side in (8, 4)]
    boxes, levels = tf.constant([[[0.2, 0.2, 0.8, 0.8]] * 2]), tf.constant([[1, 1]])
    with tf.GradientTape() as tape:
        tape.watch(maps)
        total = tf.reduce_sum(crop_by_level(maps, boxes, levels, 2, zeros_around=False))
    fine, coarse = tape.gradient(total, maps)
    assert float(tf.reduce_sum(tf.abs(fine))) == 0.0
    np.testing.assert_allclose(tf.reduce_sum(coarse), 8.0, rtol=1e-6)
