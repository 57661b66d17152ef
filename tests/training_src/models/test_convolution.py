# SPDX-License-Identifier: Apache-2.0
"""Convolutions whose 1x1 kernels have a gradient of ours."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from training_src.models.convolution import Conv2D, SeparableConv2D

LAYERS: dict[str, Callable[[], Any]] = {
    "1x1": lambda: Conv2D(5, 1, bias_initializer="ones", activation="relu6"),
    "1x1, no bias": lambda: Conv2D(5, 1, use_bias=False),
    "3x3": lambda: Conv2D(5, 3, strides=2, padding="same"),
    "separable": lambda: SeparableConv2D(5, 3, padding="same", bias_initializer="ones", activation="relu6"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_training_gives_the_outputs_and_gradients_of_inference(name: str) -> None:
    keras.utils.set_random_seed(1)
    layer = LAYERS[name]()
    images = tf.random.stateless_normal([2, 6, 7, 3], [1, 2])
    layer.build(images.shape)
    watched = [images, *(variable.value for variable in layer.trainable_variables)]

    def outputs_and_gradients(training: bool) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=training)
        return [outputs, *tape.gradient(outputs, watched, output_gradients=tf.sin(outputs) + 2)]

    ours, keras_own = outputs_and_gradients(training=True), outputs_and_gradients(training=False)
    assert len(ours) == len(watched) + 1
    for each, expected in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(each, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_only_training_has_a_gradient_of_ours(training: bool) -> None:
    layer = LAYERS["1x1"]()
    layer.build((2, 6, 7, 3))
    traced = tf.function(lambda images: layer(images, training=training), autograph=False).get_concrete_function(
        tf.TensorSpec([2, 6, 7, 3])
    )
    with_own_gradient = [node.name for node in traced.graph.as_graph_def().node if "_gradient_op_type" in node.attr]
    assert bool(with_own_gradient) is training
