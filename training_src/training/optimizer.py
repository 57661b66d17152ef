# SPDX-License-Identifier: Apache-2.0
"""Optimizers as the Keras of the OD API computed them, one fused operation a variable.

`decay` of RMSProp is that of the running mean of squares, as the proto says and as the API's first version took it;
its second handed it on as a decay of the learning rate, `rate / (1 + 0.9 * step)`, with which nothing trains.
"""

from collections.abc import Callable, Sequence
from functools import partial

import keras
import tensorflow as tf

from training_src.models.config import training as config

# Takes the handles of a variable and of its slots, its gradient, the learning rate, and the steps done before.
Update = Callable[[tf.Tensor, list[tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor], None]


class Optimizer:
    """Changes variables by gradients.

    Args:
        variables: What is trained; made, as are the slots, in the scope of the distribution strategy.
        slots: Names of what is remembered for each variable.
        update: Changes one variable.

    Attributes:
        slots: What is remembered for each variable, by the slot's name, in the variables' order.
    """

    def __init__(self, variables: Sequence[keras.Variable], slots: Sequence[str], update: Update) -> None:
        self._variables = list(variables)
        self._update = update
        self.slots = {
            name: [
                tf.Variable(tf.zeros_like(variable.value), trainable=False, name=f"{name}_{index}")
                for index, variable in enumerate(variables)
            ]
            for name in slots
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
                self._update(variable.value.handle, [slot.handle for slot in slots], gradient, rate, step)


def build_optimizer(options: config.Optimizer, variables: Sequence[keras.Variable]) -> Optimizer:
    """The optimizer that a config asks for."""
    if options.rms_prop_optimizer:
        return Optimizer(variables, ("square", "velocity"), partial(_rms_prop, options.rms_prop_optimizer))
    if options.adam_optimizer:
        return Optimizer(variables, ("mean", "square"), partial(_adam, options.adam_optimizer))
    assert options.momentum_optimizer is not None  # the config holds exactly one
    return Optimizer(variables, ("velocity",), partial(_momentum, options.momentum_optimizer))


def _momentum(
    options: config.MomentumOptimizer,
    variable: tf.Tensor,
    slots: list[tf.Tensor],
    gradient: tf.Tensor,
    rate: tf.Tensor,
    step: tf.Tensor,  # noqa: ARG001
) -> None:
    """`velocity = momentum * velocity - rate * gradient; variable += velocity`.

    With Nesterov's momentum, https://proceedings.mlr.press/v28/sutskever13.html, as Keras computes it:
    `variable += momentum * velocity - rate * gradient`.
    """
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable,
        accum=slots[0],
        lr=rate,
        grad=gradient,
        momentum=options.momentum_optimizer_value,
        use_nesterov=options.nesterov,
    )


def _rms_prop(
    options: config.RmsPropOptimizer,
    variable: tf.Tensor,
    slots: list[tf.Tensor],
    gradient: tf.Tensor,
    rate: tf.Tensor,
    step: tf.Tensor,  # noqa: ARG001
) -> None:
    """`square = decay * square + (1 - decay) * gradient^2`.

    `velocity = momentum * velocity + rate * gradient / sqrt(square + epsilon); variable -= velocity`.
    """
    tf.raw_ops.ResourceApplyRMSProp(
        var=variable,
        ms=slots[0],
        mom=slots[1],
        lr=rate,
        rho=options.decay,
        momentum=options.momentum_optimizer_value,
        epsilon=options.epsilon,
        grad=gradient,
    )


def _adam(
    options: config.AdamOptimizer,
    variable: tf.Tensor,
    slots: list[tf.Tensor],
    gradient: tf.Tensor,
    rate: tf.Tensor,
    step: tf.Tensor,
) -> None:
    """Kingma and Ba, https://arxiv.org/abs/1412.6980, with the epsilon outside the root and not corrected."""
    first, second = options.beta_1, options.beta_2
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
        epsilon=options.epsilon,
        grad=gradient,
    )
