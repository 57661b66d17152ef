# SPDX-License-Identifier: Apache-2.0
"""EfficientDet's feature extractor, https://arxiv.org/abs/1911.09070: a BiFPN on the levels of EfficientNet."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import tensorflow as tf

from training_src.models.config.fpn import BidirectionalFeaturePyramidNetworks
from training_src.models.config.ssd import FeatureExtractor
from training_src.models.errors import ConfigError
from training_src.models.feature_extractors.bifpn import bifpn
from training_src.models.feature_extractors.efficientnet import COEFFICIENTS, efficientnet
from training_src.models.layers import Layers

TOP_LEVEL = 5
# Iterations and channels where the config has no `bifpn`, by the EfficientNet's number.
DEFAULT_SIZES = ((3, 64), (4, 88), (5, 112), (6, 160), (7, 224), (7, 288), (8, 384), (8, 384))

EFFICIENTNETS = range(len(COEFFICIENTS))


def efficientdet_maps(
    number: int,
) -> Callable[[tf.Tensor, FeatureExtractor, bool], tuple[list[tf.Tensor], list[tf.Tensor]]]:
    """A BiFPN on EfficientNet B0 to B7: `ssd_efficientnet-b0_bifpn_keras` and its like."""

    def maps(
        images: tf.Tensor, config: FeatureExtractor, freeze_batchnorm: bool
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        _check(config)
        pyramid = config.bifpn or _default_pyramid(number)
        _check_sizes(images.shape[1:3], pyramid)
        levels = efficientnet(images, number, min(pyramid.max_level, TOP_LEVEL))
        backbone = {level: features for level, features in levels.items() if level >= pyramid.min_level}
        layers = Layers(config.conv_hyperparams, freeze_batchnorm)
        return bifpn(backbone, layers, pyramid, max(pyramid.num_filters, config.min_depth)), []

    return maps


def _default_pyramid(number: int) -> BidirectionalFeaturePyramidNetworks:
    iterations, channels = DEFAULT_SIZES[number]
    return BidirectionalFeaturePyramidNetworks(
        num_iterations=iterations,
        num_filters=channels,
        combine_method="sum" if number >= 6 else "fast_attention",
    )


def _check(config: FeatureExtractor) -> None:
    """Refuse what the API refuses."""
    refused = {
        "depth_multiplier": (config.depth_multiplier, 1.0),
        "use_depthwise": (config.use_depthwise, False),
        "override_base_feature_extractor_hyperparams": (config.override_base_feature_extractor_hyperparams, False),
    }
    for name, (value, allowed) in refused.items():
        if value != allowed:
            raise ConfigError(
                f"model.ssd.feature_extractor.{name}: {str(value).lower()} is not supported with {config.type}, "
                f"only {str(allowed).lower()}"
            )
    levels = config.bifpn
    if levels and not 2 <= levels.min_level < levels.max_level:
        raise ConfigError(
            f"model.ssd.feature_extractor.bifpn: levels {levels.min_level} to {levels.max_level} make no pyramid"
        )
    if levels and levels.min_level > TOP_LEVEL:
        raise ConfigError(
            f"model.ssd.feature_extractor.bifpn.min_level: {levels.min_level} is above {TOP_LEVEL}, the backbone's last"
        )


def _check_sizes(sides: Sequence[int | None], levels: BidirectionalFeaturePyramidNetworks) -> None:
    """Refuse an image on the way up of whose pyramid a map would not meet the next finer one's size."""
    for side in sides:
        sizes = [-(-side // 2**level) for level in range(levels.min_level, levels.max_level + 1)] if side else []
        if any(fine != 2 * coarse for fine, coarse in pairwise(sizes)):
            raise ConfigError(
                f"model.ssd.image_resizer: {side} pixels give maps of {', '.join(map(str, sizes))} pixels, but each "
                f"must be twice the next; use a multiple of {2**levels.max_level}"
            )
