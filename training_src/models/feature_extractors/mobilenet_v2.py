# SPDX-License-Identifier: Apache-2.0
"""MobileNet V2, https://arxiv.org/abs/1801.04381, with the OD API's handling of depth."""

import tensorflow as tf

from training_src.models.config.hyperparams import (
    BatchNorm,
    ConvHyperparams,
    Initializer,
    NormalInitializer,
    Regularizer,
    WeightRegularizer,
)
from training_src.models.layers import Layers, divisible, numbered

# What MobileNet uses where `override_base_feature_extractor_hyperparams` is not set.
DEFAULT_HYPERPARAMS = ConvHyperparams(
    regularizer=Regularizer(l2_regularizer=WeightRegularizer(weight=0.00004)),
    initializer=Initializer(truncated_normal_initializer=NormalInitializer(stddev=0.09)),
    activation="RELU_6",
    batch_norm=BatchNorm(decay=0.9997, epsilon=0.001, scale=True),
)

# Table 2 of the paper: expansion t, channels c, repeats n, stride s of the first of them.
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
LAST_CHANNELS = 1280
# The blocks (numbered from 0) after which a pyramid takes its levels; level 5 is the last convolution.
LEVEL_OF_BLOCK = {2: 2, 5: 3, 12: 4}
BLOCK_AFTER_LEVEL_4 = 13


def mobilenet_v2(
    images: tf.Tensor, layers: Layers, depth_multiplier: float, min_depth: int
) -> tuple[dict[int, tf.Tensor], tf.Tensor]:
    """Feature maps of four sizes.

    Args:
        images: `(batch, height, width, 3)`, -1..1.
        layers: Makes the layers.
        depth_multiplier: The paper's width multiplier; it also thins the last convolution.
        min_depth: No layer but an expansion has fewer channels.

    Returns:
        The maps of levels 2 to 5, which are 4, 8, 16 and 32 times smaller than the image, and level 4 as the block
        after it widens it, which a plain SSD takes.
    """
    name = numbered("model._feature_extractor.classification_backbone")

    def normalised(features: tf.Tensor) -> tf.Tensor:
        return layers.batch_normalization(name())(features)

    def convolved(features: tf.Tensor, channels: int, kernel_size: int, strides: int = 1) -> tf.Tensor:
        return normalised(layers.convolution(channels, kernel_size, name(), strides=strides)(features))

    def inverted_residual(features: tf.Tensor, expansion: int, channels: int, strides: int) -> tf.Tensor:
        width = divisible(int(channels * depth_multiplier))
        inner = features
        if expansion > 1:
            inner = layers.activation(convolved(inner, expansion * features.shape[-1], 1))
        widened.append(inner)
        inner = layers.activation(normalised(layers.depthwise_convolution(3, name(), strides=strides)(inner)))
        inner = convolved(inner, max(width, min_depth), 1)
        # Where `min_depth` widens the block there is no short cut, as in the API.
        return features + inner if strides == 1 and features.shape[-1] == width else inner

    def depth(channels: int) -> int:
        return max(divisible(int(channels * depth_multiplier)), min_depth)

    levels: dict[int, tf.Tensor] = {}
    widened: list[tf.Tensor] = []
    features = layers.activation(convolved(images, depth(32), 3, strides=2))
    for expansion, channels, repeats, stride in BLOCKS:
        for repeat in range(repeats):
            features = inverted_residual(features, expansion, channels, stride if repeat == 0 else 1)
            block = len(widened) - 1
            if block in LEVEL_OF_BLOCK:
                levels[LEVEL_OF_BLOCK[block]] = features
    last = depth(LAST_CHANNELS) if depth_multiplier < 1 else LAST_CHANNELS
    levels[5] = layers.activation(convolved(features, last, 1))
    return levels, widened[BLOCK_AFTER_LEVEL_4]
