# SPDX-License-Identifier: Apache-2.0
"""Feature maps at several scales: SSD's added layers, and the feature pyramid network.

SSD, https://arxiv.org/abs/1512.02325, section 2.1; FPN, https://arxiv.org/abs/1612.03144, extended upwards as in
RetinaNet; OD API `feature_map_generators`.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from training_src.models.config.fpn import TOP_LEVEL, FeaturePyramidNetworks
from training_src.models.layers import Layers

EXTRACTOR = "model._feature_extractor"
# SSD's maps beyond the backbone's two.
ADDED_CHANNELS = (512, 256, 256, 128)


def added_layers(
    backbone: list[tf.Tensor],
    layers: Layers,
    num_layers: int,
    depth: Callable[[float], int],
    use_depthwise: bool,
    generator: str = "feature_map_generator",
) -> list[tf.Tensor]:
    """SSD's maps: the backbone's, then each half as large as the one before.

    Args:
        backbone: The backbone's maps, finest first.
        layers: Makes the layers.
        num_layers: How many maps there are in all, six at most.
        depth: From the paper's channels to those of this network.
        use_depthwise: Whether the 3x3 convolutions are depthwise.
        generator: What the API calls what makes them.
    """
    maps = list(backbone[:num_layers])
    for channels in ADDED_CHANNELS[: max(num_layers - len(backbone), 0)]:
        path = f"{EXTRACTOR}.{generator}.convolutions.{len(maps)}"
        narrow = layers.convolution(depth(channels / 2), 1, f"{path}.0")(maps[-1])
        features = layers.activation(layers.batch_normalization(f"{path}.1")(narrow))
        if use_depthwise:
            # The hyperparameters do not apply to this kernel in the API.
            convolved = layers.depthwise_convolution(3, f"{path}.3", strides=2, follows=False)(features)
            features = layers.activation(layers.batch_normalization(f"{path}.4")(convolved))
            convolved = layers.convolution(depth(channels), 1, f"{path}.6")(features)
            norm = layers.batch_normalization(f"{path}.7")
        else:
            convolved = layers.convolution(depth(channels), 3, f"{path}.3", strides=2)(features)
            norm = layers.batch_normalization(f"{path}.4")
        maps.append(layers.activation(norm(convolved)))
    return maps


def feature_pyramid(
    backbone: list[tf.Tensor],
    layers: Layers,
    config: FeaturePyramidNetworks,
    depth: int,
    use_depthwise: bool,
    generator: str = f"{EXTRACTOR}._fpn_features_generator",
    coarse: str = f"{EXTRACTOR}._coarse_feature_layers",
) -> list[tf.Tensor]:
    """Maps of equal depth, finest first, one for each level of the config.

    Args:
        backbone: The backbone's maps from `min_level` to `max_level`, as far as it has them; finest first.
        layers: Makes the layers.
        config: Which levels.
        depth: Channels of each map.
        use_depthwise: Whether 3x3 convolutions are separable: FPNLite.
        generator: What the API calls what joins the backbone's maps.
        coarse: What it calls the layers of the levels beyond the backbone.
    """

    def block(features: tf.Tensor, path: str, strides: int) -> tf.Tensor:
        make = layers.separable_convolution if use_depthwise else layers.convolution
        convolved = make(depth, 3, f"{path}.0", strides=strides)(features)
        return layers.activation(layers.batch_normalization(f"{path}.1")(convolved))

    top_down = layers.convolution(depth, 1, f"{generator}.top_layers.0", bias=0.0)(backbone[-1])
    maps = [top_down]
    for index, features in enumerate(reversed(backbone[:-1])):
        lateral = layers.convolution(depth, 1, f"{generator}.residual_blocks.{index}.0", bias=0.0)(features)
        merged = keras.layers.UpSampling2D(2, name=f"upsampling_{index}")(top_down) + lateral
        top_down = block(merged, f"{generator}.conv_layers.{index}", strides=1)
        maps.insert(0, top_down)
    for index in range(config.max_level - TOP_LEVEL):
        maps.append(block(maps[-1], f"{coarse}.{index}", strides=2))
    return maps
