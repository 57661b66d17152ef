# SPDX-License-Identifier: Apache-2.0
"""ResNet V1, https://arxiv.org/abs/1512.03385, with bottlenecks, as the OD API has it.

Its downsampling stands in the first 1x1 convolution of a stage; what has a stride and a kernel above 1 is padded
alike on all sides.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from training_src.models.config.hyperparams import (
    BatchNorm,
    ConvHyperparams,
    Initializer,
    L2Regularizer,
    Regularizer,
    VarianceScalingInitializer,
)
from training_src.models.layers import Layers, numbered

# Table 1 of the paper: blocks of conv2_x to conv5_x.
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
CHANNELS = (64, 128, 256, 512)
EXPANSION = 4
CHANNEL_MEANS = (123.68, 116.779, 103.939)


def resnet(
    images: tf.Tensor,
    layers: Layers,
    blocks: tuple[int, int, int, int],
    prefix: str,
    *,
    depth_multiplier: float = 1.0,
    min_depth: int = 8,
) -> dict[int, tf.Tensor]:
    """The feature maps of levels 2 to 5, which are 4, 8, 16 and 32 times smaller than the image.

    Args:
        images: `(batch, height, width, 3)`, see `subtract_means`.
        layers: Makes the layers.
        blocks: An entry of `BLOCKS`.
        prefix: The layers' place in the checkpoint: `model._feature_extractor.classification_backbone`.
        depth_multiplier: Scales every layer's channels.
        min_depth: No layer has fewer channels.
    """
    name = numbered(prefix)
    depth = _depth(depth_multiplier, min_depth)
    features = _stem(images, layers, name, depth)
    levels = {}
    for stage, repeats in enumerate(blocks):
        features = _stage(features, layers, name, depth, stage, repeats)
        levels[stage + 2] = features
    return levels


def resnet_to_conv4(images: tf.Tensor, layers: Layers, blocks: tuple[int, int, int, int], prefix: str) -> tf.Tensor:
    """The map of level 4, 16 times smaller than the image: Faster R-CNN's first stage."""
    name = numbered(prefix)
    depth = _depth(1.0, 0)
    features = _stem(images, layers, name, depth)
    for stage, repeats in enumerate(blocks[:3]):
        features = _stage(features, layers, name, depth, stage, repeats)
    return features


def resnet_conv5(features: tf.Tensor, layers: Layers, blocks: tuple[int, int, int, int], prefix: str) -> tf.Tensor:
    """From crops of level 4 to maps of half their size: Faster R-CNN's second stage."""
    return _stage(features, layers, numbered(prefix), _depth(1.0, 0), 3, blocks[3])


def subtract_means(pixels: tf.Tensor) -> tf.Tensor:
    """0..255 to what ResNet takes: each channel without its mean over ImageNet."""
    return pixels - tf.constant(CHANNEL_MEANS, tf.float32)


def default_hyperparams(weight_decay: float) -> ConvHyperparams:
    """What ResNet uses where `override_base_feature_extractor_hyperparams` is not set.

    Args:
        weight_decay: 0.0001 in SSD, 0 in Faster R-CNN. Keras's is not halved, that of `Layers` is.
    """
    return ConvHyperparams(
        regularizer=Regularizer(l2_regularizer=L2Regularizer(weight=2 * weight_decay)),
        initializer=Initializer(variance_scaling_initializer=VarianceScalingInitializer(factor=1.0)),
        batch_norm=BatchNorm(decay=0.997, epsilon=1e-5, scale=True),
    )


def _stem(images: tf.Tensor, layers: Layers, name: Callable[[], str], depth: Callable[[int], int]) -> tf.Tensor:
    padded = keras.layers.ZeroPadding2D(3)(images)
    convolved = layers.convolution(depth(64), 7, name(), strides=2, padding="valid")(padded)
    features = layers.activation(layers.batch_normalization(name())(convolved))
    return keras.layers.MaxPooling2D(3, strides=2, padding="same")(features)


def _stage(
    features: tf.Tensor,
    layers: Layers,
    name: Callable[[], str],
    depth: Callable[[int], int],
    stage: int,
    repeats: int,
) -> tf.Tensor:
    for block in range(repeats):
        strides = 2 if block == 0 and stage > 0 else 1
        features = _bottleneck(features, layers, name, depth, CHANNELS[stage], strides, project=block == 0)
    return features


def _bottleneck(
    features: tf.Tensor,
    layers: Layers,
    name: Callable[[], str],
    depth: Callable[[int], int],
    channels: int,
    strides: int,
    project: bool,
) -> tf.Tensor:
    """Three convolutions beside a short cut, whose layers are numbered between the third's, as Keras sorts them."""
    inner = layers.convolution(depth(channels), 1, name(), strides=strides)(features)
    inner = layers.activation(layers.batch_normalization(name())(inner))
    inner = layers.convolution(depth(channels), 3, name())(inner)
    inner = layers.activation(layers.batch_normalization(name())(inner))
    if project:
        features = layers.convolution(depth(EXPANSION * channels), 1, name(), strides=strides)(features)
        inner = layers.convolution(depth(EXPANSION * channels), 1, name())(inner)
        features = layers.batch_normalization(name())(features)
    else:
        inner = layers.convolution(depth(EXPANSION * channels), 1, name())(inner)
    return layers.activation(features + layers.batch_normalization(name())(inner))


def _depth(multiplier: float, min_depth: int) -> Callable[[int], int]:
    return lambda channels: max(int(channels * multiplier), min_depth)
