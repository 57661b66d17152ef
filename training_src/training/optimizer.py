# SPDX-License-Identifier: Apache-2.0
"""Momentum as Keras 2 computed it, which the OD API used: the learning rate is inside the velocity."""

from collections.abc import Sequence

import keras  # type: ignore[import-untyped]
import tensorflow as tf  # type: ignore[import-untyped]


class Momentum:
    """`velocity = momentum * velocity - rate * gradient; variable += velocity`, one fused operation a variable.

    Args:
        variables: What is trained.
        momentum: `momentum_optimizer_value`.

    Attributes:
        velocities: One for each variable, in their order.
    """

    def __init__(self, variables: Sequence[keras.Variable], momentum: float) -> None:
        self._variables = list(variables)
        self._momentum = momentum
        self.velocities = [tf.Variable(tf.zeros_like(variable.value), trainable=False) for variable in variables]

    def apply(self, gradients: Sequence[tf.Tensor], rate: tf.Tensor) -> None:
        """One step; a variable without gradient stays as it is."""
        for variable, velocity, gradient in zip(self._variables, self.velocities, gradients, strict=True):
            if gradient is None:
                continue
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variable.value.handle, accum=velocity.handle, lr=rate, grad=gradient, momentum=self._momentum
            )
