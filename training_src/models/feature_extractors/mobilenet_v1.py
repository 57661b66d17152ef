# SPDX-License-Identifier: Apache-2.0
"""MobileNet V1, https://arxiv.org/abs/1704.04861, with the OD API's handling of depth."""

from collections.abc import Mapping

import tensorflow as tf

from training_src.models.layers import Layers, numbered

# Table 1 of the paper: channels and stride of each depthwise separable convolution, numbered from 1.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
# The last block of each level, of which each is half as large as the one before.
LEVEL_OF_BLOCK = {3: 2, 5: 3, 11: 4, 13: 5}
# The last two blocks' channels below a pyramid of separable convolutions.
NARROW: Mapping[int, int] = {12: 512, 13: 256}


def mobilenet_v1(
    images: tf.Tensor,
    layers: Layers,
    depth_multiplier: float,
    min_depth: int,
    channels_of: Mapping[int, int] | None = None,
) -> dict[int, tf.Tensor]:
    """The feature maps of levels 2 to 5, which are 4, 8, 16 and 32 times smaller than the image.

    Args:
        images: `(batch, height, width, 3)`, -1..1.
        layers: Makes the layers.
        depth_multiplier: The paper's width multiplier, which the API of TensorFlow 2 applies twice: once in Keras's
            network and once in its own layers.
        min_depth: No convolution has fewer channels.
        channels_of: Of blocks that have others than the paper's; these are multiplied once.
    """
    name = numbered("model._feature_extractor.classification_backbone")

    def normalised(features: tf.Tensor) -> tf.Tensor:
        return layers.activation(layers.batch_normalization(name())(features))

    def convolved(features: tf.Tensor, channels: int, kernel_size: int, strides: int = 1) -> tf.Tensor:
        depth = max(int(channels * depth_multiplier), min_depth)
        return normalised(layers.convolution(depth, kernel_size, name(), strides=strides)(features))

    def once(channels: int) -> int:
        return int(channels * depth_multiplier)

    levels: dict[int, tf.Tensor] = {}
    features = convolved(images, once(32), 3, strides=2)
    for block, (channels, stride) in enumerate(BLOCKS, start=1):
        features = normalised(layers.depthwise_convolution(3, name(), strides=stride)(features))
        features = convolved(features, (channels_of or {}).get(block, once(channels)), 1)
        if block in LEVEL_OF_BLOCK:
            levels[LEVEL_OF_BLOCK[block]] = features
    return levels
