# SPDX-License-Identifier: Apache-2.0
"""`use_moving_average`: weights averaged over the training, which are what is evaluated and exported.

The decay grows with the steps, `min(decay, (1 + step) / (10 + step))`, as in the optimizer that the OD API wraps
around its own. Batch norms' statistics are averages already and stay out.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf


class MovingAverage:
    """Averages of variables.

    Args:
        variables: The trained ones.
        decay: `moving_average_decay`.

    Attributes:
        averages: One for each variable, in their order; they start as the variables' values.
    """

    def __init__(self, variables: Sequence[keras.Variable], decay: float) -> None:
        self._variables = list(variables)
        self._decay = decay
        self.averages = [
            tf.Variable(variable.value, trainable=False, name=f"average_{index}")
            for index, variable in enumerate(variables)
        ]

    def update(self, step: tf.Tensor) -> None:
        """After the variables' own update.

        Args:
            step: Scalar int64, steps done before this one.
        """
        done = tf.cast(step + 1, tf.float32)
        share = 1.0 - tf.minimum(self._decay, (1.0 + done) / (10.0 + done))
        for variable, average in zip(self._variables, self.averages, strict=True):
            tf.raw_ops.AssignSubVariableOp(
                resource=average.handle, value=(average.read_value() - variable.value.read_value()) * share
            )

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The variables hold their averages for a while."""
        own = [variable.numpy() for variable in self._variables]
        for variable, average in zip(self._variables, self.averages, strict=True):
            variable.assign(average.numpy())
        try:
            yield
        finally:
            for variable, value in zip(self._variables, own, strict=True):
                variable.assign(value)
