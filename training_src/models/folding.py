# SPDX-License-Identifier: Apache-2.0
"""Networks for evaluation: batch norms that follow a convolution become part of its kernel and its bias.

What they compute is the same but for rounding. The weights stay the network's own: it can be trained between two uses.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from training_src.models.layers import BatchNormalization

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def fold_batch_norms(network: keras.Model) -> keras.Model:
    """The same network, with the same variables, whose batch norms are folded into convolutions where they can be."""

    def call(layer: keras.layers.Layer, *arguments: keras.KerasTensor, **options: object) -> keras.KerasTensor:
        if isinstance(layer, BatchNormalization):
            before = arguments[0]._keras_history
            if isinstance(before.operation, _CONVOLUTIONS):
                node = before.operation._inbound_nodes[before.node_index]
                return _Folded(before.operation, layer)(*node.input_tensors)
        return layer(*arguments, **options)

    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)


class _Folded(keras.layers.Layer):  # type: ignore[misc]
    """A convolution and the batch norm behind it, by the weights of both, which stay theirs."""

    def __init__(self, convolution: keras.layers.Layer, norm: BatchNormalization) -> None:
        super().__init__(name=f"{norm.name}.folded")
        # In a function, so that Keras does not take them for this layer's parts.
        self._parts: Callable[[], tuple[keras.layers.Layer, BatchNormalization]] = lambda: (convolution, norm)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        convolution, _ = self._parts()
        return convolution.compute_output_spec(inputs)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        convolution, norm = self._parts()
        # Under mixed precision the kernels are read as 16 bits, like the inputs.
        scale, offset = (tf.cast(each, inputs.dtype) for each in norm.scale_and_offset())
        if convolution.use_bias:
            offset += convolution.bias.value * scale
        settings = {name: getattr(convolution, name) for name in ("strides", "padding", "dilation_rate")}
        if isinstance(convolution, keras.layers.DepthwiseConv2D):
            outputs = keras.ops.depthwise_conv(inputs, convolution.kernel.value * scale[:, None], **settings)
        elif isinstance(convolution, keras.layers.SeparableConv2D):
            filtered = keras.ops.depthwise_conv(inputs, convolution.depthwise_kernel.value, **settings)
            outputs = keras.ops.conv(filtered, convolution.pointwise_kernel.value * scale)
        else:
            outputs = keras.ops.conv(inputs, convolution.kernel.value * scale, **settings)
        return tf.nn.bias_add(outputs, offset)
