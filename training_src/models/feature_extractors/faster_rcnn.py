# SPDX-License-Identifier: Apache-2.0
"""What Faster R-CNN's `feature_extractor.type` stands for: the maps that regions are taken out of, and what follows.

Without a pyramid a backbone is cut in two, and the second half follows; with one, two dense layers do
(https://arxiv.org/abs/1612.03144, section 4.2).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import keras
import tensorflow as tf

from training_src.models.config.faster_rcnn import FasterRcnnFeatureExtractor
from training_src.models.config.fpn import TOP_LEVEL
from training_src.models.config.hyperparams import ConvHyperparams
from training_src.models.feature_extractors import inception_resnet_v2
from training_src.models.feature_extractors.feature_pyramid import feature_pyramid
from training_src.models.feature_extractors.resnet import (
    BLOCKS,
    default_hyperparams,
    resnet,
    resnet_conv5,
    resnet_to_conv4,
    subtract_means,
)
from training_src.models.layers import Layers, pad_to_multiple
from training_src.models.preprocessing import scale_to_one

FIRST_STAGE = "model._feature_extractor_for_proposal_features"
SECOND_STAGE = "model._feature_extractor_for_box_classifier_features"
DENSE_UNITS = 1024


class Backbone(NamedTuple):
    """A kind of feature extractor.

    Attributes:
        maps: From images to the maps to crop from, finest first.
        classified: From pooled crops to what is classified, `(n, height, width, channels)`.
        scale: From pixels of 0..255 to what the backbone takes.
    """

    maps: Callable[[tf.Tensor, FasterRcnnFeatureExtractor], list[tf.Tensor]]
    classified: Callable[[tf.Tensor, FasterRcnnFeatureExtractor], tf.Tensor]
    scale: Callable[[tf.Tensor], tf.Tensor]


def two_halves(
    to_level_4: Callable[..., tf.Tensor],
    from_level_4: Callable[[tf.Tensor, Layers], tf.Tensor],
    hyperparams: ConvHyperparams,
    scale: Callable[[tf.Tensor], tf.Tensor],
) -> Backbone:
    """A backbone that is cut behind its level 4.

    Args:
        to_level_4: From images to the map to crop from, 16 times smaller, or 8 times by a keyword `stride`.
        from_level_4: From crops of that map to what is classified.
        hyperparams: Of both halves' layers.
        scale: As `Backbone` has it.
    """

    def layers(config: FasterRcnnFeatureExtractor) -> Layers:
        return Layers(hyperparams, freeze_batchnorm=not config.batch_norm_trainable)

    def maps(images: tf.Tensor, config: FasterRcnnFeatureExtractor) -> list[tf.Tensor]:
        stride = config.first_stage_features_stride
        return [to_level_4(images, layers(config), **({} if stride == 16 else {"stride": stride}))]

    return Backbone(maps, lambda crops, config: from_level_4(crops, layers(config)), scale)


def resnet_of_two_halves(depth: int) -> Backbone:
    """ResNet V1 of so many layers: `faster_rcnn_resnet50_keras` and its like."""
    blocks = BLOCKS[depth]
    return two_halves(
        partial(resnet_to_conv4, blocks=blocks, prefix=FIRST_STAGE),
        partial(resnet_conv5, blocks=blocks, prefix=SECOND_STAGE),
        default_hyperparams(weight_decay=0.0),
        subtract_means,
    )


def resnet_fpn(depth: int) -> Backbone:
    """A pyramid on ResNet V1 of so many layers: `faster_rcnn_resnet50_fpn_keras` and its like."""

    def maps(images: tf.Tensor, config: FasterRcnnFeatureExtractor) -> list[tf.Tensor]:
        own, added = _hyperparams(config), _added_layers(config)
        base = own if config.override_base_feature_extractor_hyperparams else default_hyperparams(weight_decay=0.0)
        layers = Layers(base, freeze_batchnorm=not config.batch_norm_trainable).of_backbone()
        padded = pad_to_multiple(images, 2**TOP_LEVEL)
        levels = resnet(padded, layers, BLOCKS[depth], f"{FIRST_STAGE}.classification_backbone")
        return feature_pyramid(
            [levels[level] for level in range(config.fpn.min_level, TOP_LEVEL + 1)],
            added,
            config.fpn,
            config.fpn.additional_layer_depth,
            use_depthwise=False,
            generator=f"{FIRST_STAGE}.fpn_features_generator",
            coarse=f"{FIRST_STAGE}.coarse_feature_layers",
        )

    return Backbone(maps, dense_layers, subtract_means)


def dense_layers(crops: tf.Tensor, config: FasterRcnnFeatureExtractor) -> tf.Tensor:
    """Two dense layers with a batch norm between them, `(n, 1, 1, 1024)`; only the norm follows the hyperparameters."""
    norms = _hyperparams(config).batch_norm or _hyperparams(config).sync_batch_norm
    # TensorFlow's fused kernel wants a map.
    flat = keras.layers.Reshape((1, 1, -1), name="flattened_crops")(crops)
    hidden = keras.layers.Dense(DENSE_UNITS, "relu", name=f"{SECOND_STAGE}.layer_with_weights-0")(flat)
    hidden = _added_layers(config).batch_normalization(f"{SECOND_STAGE}.layer_with_weights-1")(hidden)
    # Without weights it is not counted.
    number = 2 if norms else 1
    return keras.layers.Dense(DENSE_UNITS, "relu", name=f"{SECOND_STAGE}.layer_with_weights-{number}")(hidden)


def _added_layers(config: FasterRcnnFeatureExtractor) -> Layers:
    return Layers(_hyperparams(config), freeze_batchnorm=not config.batch_norm_trainable)


def _hyperparams(config: FasterRcnnFeatureExtractor) -> ConvHyperparams:
    assert config.conv_hyperparams is not None  # a pyramid's config has them
    return config.conv_hyperparams


BACKBONES = {
    **{f"faster_rcnn_resnet{depth}_keras": resnet_of_two_halves(depth) for depth in BLOCKS},
    "faster_rcnn_inception_resnet_v2_keras": two_halves(
        partial(inception_resnet_v2.inception_resnet_v2_to_block17, prefix=FIRST_STAGE),
        partial(inception_resnet_v2.inception_resnet_v2_from_block17, prefix=SECOND_STAGE),
        inception_resnet_v2.default_hyperparams(),
        scale_to_one,
    ),
    **{f"faster_rcnn_resnet{depth}_fpn_keras": resnet_fpn(depth) for depth in BLOCKS},
}
