# SPDX-License-Identifier: Apache-2.0
"""A detector's network once more, in plain TensorFlow operations: what no training step can do without.

Convolutions, fused batch norms, activations, sums and upsampling, forward and backward; no Keras, no update of batch
norms' averages, no loss, no optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from training_src.models.layers import BatchNormalization

Operation = Callable[..., Any]


class PlainNetwork:
    """The same layers with the same weights as a network of Keras's.

    Args:
        network: A functional model of the layers that `OPERATIONS` knows.
        outputs: The names of those of its outputs that are differentiated.

    Attributes:
        variables: The trainable weights.
    """

    def __init__(self, network: keras.Model, outputs: Sequence[str]) -> None:
        self.variables: list[tf.Variable] = []
        self._inputs = network.inputs
        self._outputs = [network.output[name] for name in outputs]
        self._nodes: list[tuple[Operation, Any, Any]] = []
        made: dict[int, Operation] = {}
        for depth in sorted(network._nodes_by_depth, reverse=True):
            for node in network._nodes_by_depth[depth]:
                if not node.is_input:
                    kind = type(node.operation)
                    if id(node.operation) not in made:
                        made[id(node.operation)] = OPERATIONS[kind.__name__](self, node.operation)
                    self._nodes.append((made[id(node.operation)], node.arguments.keras_tensors, node.outputs))

    def __call__(self, images: tf.Tensor) -> list[tf.Tensor]:
        values = {id(self._inputs[0]): images}
        for operation, arguments, results in self._nodes:
            values[id(results[0])] = operation(*(values[id(argument)] for argument in arguments))
        return [values[id(output)] for output in self._outputs]

    def gradients(self, images: tf.Tensor) -> list[tf.Tensor]:
        """Of the sum of all outputs, by every weight."""
        with tf.GradientTape() as tape:
            outputs = self(images)
        return list(tape.gradient(outputs, self.variables, output_gradients=[tf.ones_like(each) for each in outputs]))

    def variable(self, weight: keras.Variable) -> tf.Variable:
        self.variables.append(tf.Variable(weight.numpy()))
        return self.variables[-1]


def _convolution(network: PlainNetwork, layer: Any) -> Operation:
    kernel, strides, padding = network.variable(layer.kernel), layer.strides, layer.padding.upper()
    bias = _bias(network, layer)
    return lambda features: bias(tf.nn.conv2d(features, kernel, strides, padding))


def _depthwise_convolution(network: PlainNetwork, layer: Any) -> Operation:
    kernel, strides, padding = network.variable(layer.kernel), [1, *layer.strides, 1], layer.padding.upper()
    bias = _bias(network, layer)
    return lambda features: bias(tf.nn.depthwise_conv2d(features, kernel, strides, padding))


def _separable_convolution(network: PlainNetwork, layer: Any) -> Operation:
    depthwise, pointwise = network.variable(layer.depthwise_kernel), network.variable(layer.pointwise_kernel)
    bias, strides = _bias(network, layer), [1, *layer.strides, 1]
    return lambda features: bias(
        tf.nn.conv2d(tf.nn.depthwise_conv2d(features, depthwise, strides, layer.padding.upper()), pointwise, 1, "VALID")
    )


def _bias(network: PlainNetwork, layer: Any) -> Operation:
    if layer.bias is None:
        return lambda features: features
    bias = network.variable(layer.bias)
    return lambda features: tf.nn.bias_add(features, bias)


def _batch_norm(network: PlainNetwork, layer: BatchNormalization) -> Operation:
    gamma, beta = network.variable(layer.gamma), network.variable(layer.beta)
    return lambda features: (
        tf.raw_ops.FusedBatchNormV3(
            x=features, scale=gamma, offset=beta, mean=[], variance=[], epsilon=1e-3, is_training=True
        ).y
    )


def _upsampling(network: PlainNetwork, layer: Any) -> Operation:  # noqa: ARG001
    def twice(features: tf.Tensor) -> tf.Tensor:
        batch, height, width, channels = features.shape
        tiled = tf.broadcast_to(features[:, :, None, :, None], [batch, height, 2, width, 2, channels])
        return tf.reshape(tiled, [batch, 2 * height, 2 * width, channels])

    return twice


OPERATIONS: dict[str, Callable[[PlainNetwork, Any], Operation]] = {
    "Conv2D": _convolution,
    "DepthwiseConv2D": _depthwise_convolution,
    "SeparableConv2D": _separable_convolution,
    "BatchNormalization": _batch_norm,
    "Relu6": lambda *_: tf.nn.relu6,
    "Add": lambda *_: tf.add,
    "UpSampling2D": _upsampling,
    "Reshape": lambda _, layer: lambda features: tf.reshape(features, [features.shape[0], *layer.target_shape]),
    "Concatenate": lambda *_: lambda *parts: tf.concat(parts, axis=1),
}
