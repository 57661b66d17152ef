# SPDX-License-Identifier: Apache-2.0
"""EfficientNet B0 to B7, https://arxiv.org/abs/1905.11946, as the backbone of EfficientDet in the OD API."""

import math
from typing import NamedTuple

import keras
import tensorflow as tf

from training_src.models.config.hyperparams import BatchNorm
from training_src.models.convolution import Conv2D
from training_src.models.layers import BatchNormalization, divisible

EXTRACTOR = "model._feature_extractor"


class Stack(NamedTuple):
    """A row of the paper's table 1."""

    channels: int
    kernel_size: int
    repeats: int
    expansion: int
    strides: int


STACKS = (
    Stack(16, 3, 1, 1, 1),
    Stack(24, 3, 2, 6, 2),
    Stack(40, 5, 2, 6, 2),
    Stack(80, 3, 3, 6, 2),
    Stack(112, 5, 3, 6, 1),
    Stack(192, 5, 4, 6, 2),
    Stack(320, 3, 1, 6, 1),
)
# Width and depth coefficients of B0 to B7.
COEFFICIENTS = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1))
STEM_CHANNELS, TOP_CHANNELS, TOP_CLASSES = 32, 1280, 1000
# Where the API takes a level: stack and block. Deeper networks have more blocks in a stack, which it passes over.
LEVEL_OF_BLOCK = {(0, 0): 1, (1, 1): 2, (2, 1): 3, (4, 2): 4, (6, 0): 5}
SQUEEZE = 0.25
SURVIVAL = 0.2
BATCH_NORM = BatchNorm(decay=0.99, epsilon=0.001, scale=True)
WEIGHT_DECAY = 5e-6


def efficientnet(images: tf.Tensor, number: int, max_level: int) -> dict[int, tf.Tensor]:
    """The feature maps of levels 1 to `max_level`, which are 2, 4, 8, ... times smaller than the image.

    The classifier's layers behind that level are made too: they stand in the checkpoint and are regularised, but
    compute nothing. Batch norms learn whatever `freeze_batchnorm` says, as in the API.

    Args:
        images: `(batch, height, width, 3)`, of zero mean and unit variance.
        number: 0 to 7, for B0 to B7.
        max_level: The last level wanted, up to 5.
    """
    width, depth = COEFFICIENTS[number]
    builder = _Builder()
    features = builder.convolved(images, divisible(STEM_CHANNELS * width), kernel_size=3, strides=2)
    levels: dict[int, tf.Tensor] = {}
    repeats = [math.ceil(stack.repeats * depth) for stack in STACKS]
    blocks = [(stack, block) for stack, count in enumerate(repeats) for block in range(count)]
    for index, (stack, block) in enumerate(blocks):
        row = STACKS[stack]._replace(channels=divisible(STACKS[stack].channels * width))
        row = row if block == 0 else row._replace(strides=1)
        features = builder.block(features, row, SURVIVAL * index / len(blocks))
        level = LEVEL_OF_BLOCK.get((stack, block))
        if level is None or level > max_level:
            continue
        levels[level] = features
        if level == max_level:
            builder.idle = []
    features = builder.convolved(features, divisible(TOP_CHANNELS * width), kernel_size=1)
    builder.classifier(keras.ops.mean(features, axis=(1, 2)))
    assert builder.idle is not None
    levels[max_level] = Idle(builder.idle)(levels[max_level])
    return levels


class Idle(keras.layers.Layer):  # type: ignore[misc]
    """Keeps layers of which only the variables are wanted, and hands its input on.

    Attributes:
        idle: The layers, built.
    """

    def __init__(self, idle: list[keras.layers.Layer]) -> None:
        super().__init__(name="idle")
        self.idle = idle

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return features


class _Builder:
    """Makes layers under the names that the checkpoint gives them: by their order, used ones apart from idle ones.

    Attributes:
        idle: None at first; set to a list where what follows is idle, and then the layers made since.
    """

    def __init__(self) -> None:
        self.idle: list[keras.layers.Layer] | None = None
        self._made = 0

    def convolved(
        self, features: tf.Tensor, channels: int, kernel_size: int, strides: int = 1, activate: bool = True
    ) -> tf.Tensor:
        """A convolution, batch norm and perhaps the activation."""
        convolution = Conv2D(
            channels,
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer=_initializer(),
            kernel_regularizer=keras.regularizers.L2(WEIGHT_DECAY),
            name=self._name(),
        )
        return self._normalised(self._keep(convolution)(features), activate)

    def block(self, features: tf.Tensor, stack: Stack, drop_rate: float) -> tf.Tensor:
        """A mobile inverted bottleneck with squeeze and excitation, skipped at random in training."""
        channels = features.shape[-1]
        inner = features
        if stack.expansion > 1:
            inner = self.convolved(inner, channels * stack.expansion, kernel_size=1)
        # The API hands the depthwise kernel's regulariser to another argument, so there is none.
        depthwise = keras.layers.DepthwiseConv2D(
            stack.kernel_size,
            strides=stack.strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=_initializer(),
            name=self._name(),
        )
        inner = self._normalised(self._keep(depthwise)(inner))
        inner = inner * self._excitation(inner, max(1, int(channels * SQUEEZE)))
        inner = self.convolved(inner, stack.channels, kernel_size=1, activate=False)
        if stack.strides > 1 or channels != stack.channels:
            return inner
        if drop_rate > 0 and self.idle is None:
            inner = keras.layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1))(inner)
        return inner + features

    def classifier(self, features: tf.Tensor) -> None:
        """The logits of ImageNet's classes."""
        logits = keras.layers.Dense(
            TOP_CLASSES,
            kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_out", "uniform"),
            kernel_regularizer=keras.regularizers.L2(WEIGHT_DECAY),
            bias_regularizer=keras.regularizers.L2(WEIGHT_DECAY),
            name=self._name(),
        )
        self._keep(logits)(features)

    def _excitation(self, features: tf.Tensor, squeezed: int) -> tf.Tensor:
        """A weight for each channel, from all channels' means."""
        pooled = keras.ops.mean(features, axis=(1, 2), keepdims=True)
        reduced = keras.ops.silu(self._weighted(squeezed)(pooled))
        return keras.ops.sigmoid(self._weighted(features.shape[-1])(reduced))

    def _weighted(self, channels: int) -> keras.layers.Layer:
        layer = Conv2D(
            channels,
            1,
            kernel_initializer=_initializer(),
            kernel_regularizer=keras.regularizers.L2(WEIGHT_DECAY),
            bias_regularizer=keras.regularizers.L2(WEIGHT_DECAY),
            name=self._name(),
        )
        return self._keep(layer)

    def _normalised(self, features: tf.Tensor, activate: bool = True) -> tf.Tensor:
        normalised = self._keep(BatchNormalization(BATCH_NORM, False, self._name()))(features)
        return keras.ops.silu(normalised) if activate else normalised

    def _keep(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        if self.idle is not None:
            self.idle.append(layer)
        return layer

    def _name(self) -> str:
        model = "_efficientnet" if self.idle is None else "classification_backbone"
        self._made += 1
        return f"{EXTRACTOR}.{model}.layer_with_weights-{self._made - 1}"


def _initializer() -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
