# SPDX-License-Identifier: Apache-2.0
"""Moving averages of weights."""

import keras
import numpy as np
import tensorflow as tf

from training_src.training.averaging import MovingAverage


def test_the_decay_grows_up_to_the_configs() -> None:
    variable = keras.Variable([0.0, 0.0])
    average = MovingAverage([variable], decay=0.3)
    expected = np.zeros(2)
    for step in range(6):
        variable.assign([step + 1.0, -step])
        average.update(tf.constant(step, tf.int64))
        decay = min(0.3, (2 + step) / (11 + step))
        expected = decay * expected + (1 - decay) * np.array([step + 1.0, -step])
        np.testing.assert_allclose(average.averages[0].numpy(), expected, rtol=1e-5)


def test_the_weights_come_back_after_the_averages_were_in_use() -> None:
    variable = keras.Variable([4.0])
    average = MovingAverage([variable], decay=0.9)
    variable.assign([8.0])
    with average.in_use():
        assert variable.numpy() == [4.0]
    assert variable.numpy() == [8.0]
