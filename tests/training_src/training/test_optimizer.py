# SPDX-License-Identifier: Apache-2.0
"""Momentum, with the learning rate inside the velocity."""

import keras  # type: ignore[import-untyped]
import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.training.optimizer import Momentum


def test_momentum_steps_by_its_formula() -> None:
    used, unused = keras.Variable([1.0, 2.0]), keras.Variable([3.0])
    optimizer = Momentum([used, unused], momentum=0.9)
    value, velocity = np.array([1.0, 2.0]), np.zeros(2)
    for rate, gradient in ((0.1, [1.0, -2.0]), (0.01, [0.5, 0.5]), (0.2, [0.0, 1.0])):
        optimizer.apply([tf.constant(gradient), None], tf.constant(rate))
        velocity = 0.9 * velocity - rate * np.array(gradient)
        value = value + velocity
        np.testing.assert_allclose(used.numpy(), value, rtol=1e-6)
        np.testing.assert_allclose(optimizer.velocities[0].numpy(), velocity, rtol=1e-6)
    np.testing.assert_array_equal(unused.numpy(), [3.0])
