# SPDX-License-Identifier: Apache-2.0
"""Optimizers as the Keras of the OD API computed them, one fused operation a variable.

`decay` of RMSProp is that of the running mean of squares, as the proto says and as the API's first version took it;
its second handed it on as a decay of the learning rate, `rate / (1 + 0.9 * step)`, with which nothing trains.
"""

import abc
from collections.abc import Sequence

import keras
import tensorflow as tf

from training_src.models.config import training as config

ADAM_BETAS = (0.9, 0.999)


class Optimizer(abc.ABC):
    """Changes variables by gradients.

    Args:
        variables: What is trained; made, as are the slots, in the scope of the distribution strategy.

    Attributes:
        slots: What is remembered for each variable, by the slot's name, in the variables' order.
    """

    NAMES: Sequence[str]

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self._variables = list(variables)
        self.slots = {
            name: [
                tf.Variable(tf.zeros_like(variable.value), trainable=False, name=f"{name}_{index}")
                for index, variable in enumerate(variables)
            ]
            for name in self.NAMES
        }

    def apply(self, gradients: Sequence[tf.Tensor], rate: tf.Tensor, step: tf.Tensor) -> None:
        """One step; a variable without gradient stays as it is.

        Args:
            gradients: In the variables' order, summed over all replicas.
            rate: Scalar float32, the learning rate.
            step: Scalar int64, steps done before this one.
        """
        for variable, gradient, *slots in zip(self._variables, gradients, *self.slots.values(), strict=True):
            if gradient is not None:
                # The handle is that of the copy on this replica's device.
                self._apply(variable.value.handle, [slot.handle for slot in slots], gradient, rate, step)

    @abc.abstractmethod
    def _apply(
        self, variable: tf.Tensor, slots: list[tf.Tensor], gradient: tf.Tensor, rate: tf.Tensor, step: tf.Tensor
    ) -> None: ...


class Momentum(Optimizer):
    """`velocity = momentum * velocity - rate * gradient; variable += velocity`."""

    NAMES = ("velocity",)

    def __init__(self, variables: Sequence[keras.Variable], options: config.MomentumOptimizer) -> None:
        super().__init__(variables)
        self._momentum = options.momentum_optimizer_value

    def _apply(
        self,
        variable: tf.Tensor,
        slots: list[tf.Tensor],
        gradient: tf.Tensor,
        rate: tf.Tensor,
        step: tf.Tensor,  # noqa: ARG002
    ) -> None:
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable, accum=slots[0], lr=rate, grad=gradient, momentum=self._momentum
        )


class RmsProp(Optimizer):
    """`square = decay * square + (1 - decay) * gradient^2`.

    `velocity = momentum * velocity + rate * gradient / sqrt(square + epsilon); variable -= velocity`.
    """

    NAMES = ("square", "velocity")

    def __init__(self, variables: Sequence[keras.Variable], options: config.RmsPropOptimizer) -> None:
        super().__init__(variables)
        self._options = options

    def _apply(
        self,
        variable: tf.Tensor,
        slots: list[tf.Tensor],
        gradient: tf.Tensor,
        rate: tf.Tensor,
        step: tf.Tensor,  # noqa: ARG002
    ) -> None:
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable,
            ms=slots[0],
            mom=slots[1],
            lr=rate,
            rho=self._options.decay,
            momentum=self._options.momentum_optimizer_value,
            epsilon=self._options.epsilon,
            grad=gradient,
        )


class Adam(Optimizer):
    """Kingma and Ba, https://arxiv.org/abs/1412.6980, with the epsilon outside the root and not corrected."""

    NAMES = ("mean", "square")

    def __init__(self, variables: Sequence[keras.Variable], options: config.AdamOptimizer) -> None:
        super().__init__(variables)
        self._epsilon = options.epsilon

    def _apply(
        self, variable: tf.Tensor, slots: list[tf.Tensor], gradient: tf.Tensor, rate: tf.Tensor, step: tf.Tensor
    ) -> None:
        first, second = ADAM_BETAS
        power = tf.cast(step + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable,
            m=slots[0],
            v=slots[1],
            beta1_power=tf.pow(first, power),
            beta2_power=tf.pow(second, power),
            lr=rate,
            beta1=first,
            beta2=second,
            epsilon=self._epsilon,
            grad=gradient,
        )


def build_optimizer(options: config.Optimizer, variables: Sequence[keras.Variable]) -> Optimizer:
    """The optimizer that a config asks for."""
    if options.rms_prop_optimizer:
        return RmsProp(variables, options.rms_prop_optimizer)
    if options.adam_optimizer:
        return Adam(variables, options.adam_optimizer)
    assert options.momentum_optimizer is not None  # the config holds exactly one
    return Momentum(variables, options.momentum_optimizer)
