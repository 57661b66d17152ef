# SPDX-License-Identifier: Apache-2.0
"""Feature pyramid network, https://arxiv.org/abs/1612.03144, extended upwards as in RetinaNet."""

import keras  # type: ignore[import-untyped]
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.config.ssd import FeaturePyramidNetworks
from training_src.models.layers import Layers

EXTRACTOR = "model._feature_extractor"
TOP_LEVEL = 5


def feature_pyramid(
    backbone: dict[int, tf.Tensor], layers: Layers, config: FeaturePyramidNetworks, depth: int, use_depthwise: bool
) -> list[tf.Tensor]:
    """Maps of equal depth, finest first, one for each level of the config.

    Args:
        backbone: The backbone's maps by level.
        layers: Makes the layers.
        config: Which levels.
        depth: Channels of each map.
        use_depthwise: Whether 3x3 convolutions are separable: FPNLite.
    """
    generator = f"{EXTRACTOR}._fpn_features_generator"
    top_level = min(config.max_level, TOP_LEVEL)

    def block(features: tf.Tensor, path: str, strides: int) -> tf.Tensor:
        make = layers.separable_convolution if use_depthwise else layers.convolution
        convolved = make(depth, 3, f"{path}.0", strides=strides)(features)
        return layers.activation(layers.batch_normalization(f"{path}.1")(convolved))

    top_down = layers.convolution(depth, 1, f"{generator}.top_layers.0", bias=0.0)(backbone[top_level])
    maps = [top_down]
    for index, level in enumerate(range(top_level - 1, config.min_level - 1, -1)):
        lateral = layers.convolution(depth, 1, f"{generator}.residual_blocks.{index}.0", bias=0.0)(backbone[level])
        merged = keras.layers.UpSampling2D(2, name=f"upsampling_{level}")(top_down) + lateral
        top_down = block(merged, f"{generator}.conv_layers.{index}", strides=1)
        maps.insert(0, top_down)
    for index in range(config.max_level - top_level):
        maps.append(block(maps[-1], f"{EXTRACTOR}._coarse_feature_layers.{index}", strides=2))
    return maps
