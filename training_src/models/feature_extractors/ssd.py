# SPDX-License-Identifier: Apache-2.0
"""What a single-shot detector's `feature_extractor.type` stands for: a backbone, and the maps made from it."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from training_src.models.config.fpn import TOP_LEVEL
from training_src.models.config.hyperparams import ConvHyperparams
from training_src.models.config.ssd import FeatureExtractor
from training_src.models.feature_extractors.efficientdet import EFFICIENTNETS, efficientdet_maps
from training_src.models.feature_extractors.feature_pyramid import added_layers, feature_pyramid
from training_src.models.feature_extractors.mobilenet_v1 import NARROW, mobilenet_v1
from training_src.models.feature_extractors.mobilenet_v2 import DEFAULT_HYPERPARAMS, mobilenet_v2
from training_src.models.feature_extractors.resnet import BLOCKS, default_hyperparams, resnet, subtract_means
from training_src.models.layers import Layers
from training_src.models.preprocessing import scale_to_one, standardise

BACKBONE = "model._feature_extractor.classification_backbone"
RESNET_WEIGHT_DECAY = 0.0001

Maps = tuple[list[tf.Tensor], list[tf.Tensor]]


class Extractor(NamedTuple):
    """A kind of feature extractor.

    Attributes:
        maps: From images, the config and whether batch norms are frozen to the maps for the heads, finest first, and
            those of the backbone that nothing uses.
        scale: From pixels of 0..255 to what the backbone takes.
    """

    maps: Callable[[tf.Tensor, FeatureExtractor, bool], Maps]
    scale: Callable[[tf.Tensor], tf.Tensor]


def mobilenet_v1_maps(images: tf.Tensor, config: FeatureExtractor, freeze_batchnorm: bool) -> Maps:
    """Two maps of MobileNet V1, and smaller ones behind it: `ssd_mobilenet_v1_keras`."""
    layers = _backbone_layers(config, DEFAULT_HYPERPARAMS, freeze_batchnorm)
    levels = mobilenet_v1(images, layers, config.depth_multiplier, config.min_depth)
    added = Layers(config.conv_hyperparams, freeze_batchnorm)
    backbone, depth = [levels[4], levels[5]], _depth(config)
    generator = "_feature_map_generator"
    return added_layers(backbone, added, config.num_layers, depth, config.use_depthwise, generator), []


def mobilenet_v1_fpn_maps(images: tf.Tensor, config: FeatureExtractor, freeze_batchnorm: bool) -> Maps:
    """A pyramid on MobileNet V1: `ssd_mobilenet_v1_fpn_keras`."""
    layers = _backbone_layers(config, DEFAULT_HYPERPARAMS, freeze_batchnorm)
    channels_of = NARROW if config.use_depthwise else None
    levels = mobilenet_v1(images, layers, config.depth_multiplier, config.min_depth, channels_of)
    return _pyramid(_coarsest(levels, config), config, freeze_batchnorm, config.use_depthwise), []


def mobilenet_v2_maps(images: tf.Tensor, config: FeatureExtractor, freeze_batchnorm: bool) -> Maps:
    """Two maps of MobileNet V2, and smaller ones behind it: `ssd_mobilenet_v2_keras`."""
    layers = _backbone_layers(config, DEFAULT_HYPERPARAMS, freeze_batchnorm)
    levels, widened = mobilenet_v2(images, layers, config.depth_multiplier, config.min_depth)
    added = Layers(config.conv_hyperparams, freeze_batchnorm)
    return added_layers([widened, levels[5]], added, config.num_layers, _depth(config), config.use_depthwise), []


def mobilenet_v2_fpn_maps(images: tf.Tensor, config: FeatureExtractor, freeze_batchnorm: bool) -> Maps:
    """A pyramid on MobileNet V2: `ssd_mobilenet_v2_fpn_keras`."""
    layers = _backbone_layers(config, DEFAULT_HYPERPARAMS, freeze_batchnorm)
    levels, _ = mobilenet_v2(images, layers, config.depth_multiplier, config.min_depth)
    return _pyramid(_coarsest(levels, config), config, freeze_batchnorm, config.use_depthwise), []


def resnet_fpn_maps(depth: int) -> Callable[[tf.Tensor, FeatureExtractor, bool], Maps]:
    """A pyramid on ResNet V1 of so many layers: `ssd_resnet50_v1_fpn_keras` and its like."""

    def maps(images: tf.Tensor, config: FeatureExtractor, freeze_batchnorm: bool) -> Maps:
        layers = _backbone_layers(config, default_hyperparams(RESNET_WEIGHT_DECAY), freeze_batchnorm)
        levels = resnet(
            images,
            layers,
            BLOCKS[depth],
            BACKBONE,
            depth_multiplier=config.depth_multiplier,
            min_depth=config.min_depth,
        )
        used = range(config.fpn.min_level, min(config.fpn.max_level, TOP_LEVEL) + 1)
        pyramid = _pyramid([levels[level] for level in used], config, freeze_batchnorm, use_depthwise=False)
        return pyramid, [features for level, features in levels.items() if level > used[-1]]

    return maps


def _coarsest(levels: dict[int, tf.Tensor], config: FeatureExtractor) -> list[tf.Tensor]:
    """As many maps as the pyramid has, counted from the coarsest.

    Where it ends below level 5, these are not its own levels, as in the API.
    """
    count = min(config.fpn.max_level, TOP_LEVEL) - config.fpn.min_level + 1
    return [levels[level] for level in sorted(levels)][-count:]


def _pyramid(
    backbone: list[tf.Tensor], config: FeatureExtractor, freeze_batchnorm: bool, use_depthwise: bool
) -> list[tf.Tensor]:
    layers = Layers(config.conv_hyperparams, freeze_batchnorm)
    depth = _depth(config)(config.fpn.additional_layer_depth)
    return feature_pyramid(backbone, layers, config.fpn, depth, use_depthwise)


def _backbone_layers(config: FeatureExtractor, default: ConvHyperparams, freeze_batchnorm: bool) -> Layers:
    own = config.conv_hyperparams if config.override_base_feature_extractor_hyperparams else default
    return Layers(own, freeze_batchnorm).of_backbone()


def _depth(config: FeatureExtractor) -> Callable[[float], int]:
    return lambda channels: max(int(channels * config.depth_multiplier), config.min_depth)


EXTRACTORS = {
    "ssd_mobilenet_v1_keras": Extractor(mobilenet_v1_maps, scale_to_one),
    "ssd_mobilenet_v1_fpn_keras": Extractor(mobilenet_v1_fpn_maps, scale_to_one),
    "ssd_mobilenet_v2_keras": Extractor(mobilenet_v2_maps, scale_to_one),
    "ssd_mobilenet_v2_fpn_keras": Extractor(mobilenet_v2_fpn_maps, scale_to_one),
    **{f"ssd_resnet{depth}_v1_fpn_keras": Extractor(resnet_fpn_maps(depth), subtract_means) for depth in BLOCKS},
    **{
        f"ssd_efficientnet-b{number}_bifpn_keras": Extractor(efficientdet_maps(number), standardise)
        for number in EFFICIENTNETS
    },
}
