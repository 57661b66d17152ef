# SPDX-License-Identifier: Apache-2.0
"""What Faster R-CNN's `feature_extractor.type` stands for: a backbone, cut where regions are taken out of its map."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import tensorflow as tf

from training_src.models.config.faster_rcnn import FasterRcnnFeatureExtractor
from training_src.models.config.hyperparams import ConvHyperparams
from training_src.models.feature_extractors import inception_resnet_v2
from training_src.models.feature_extractors.resnet import (
    BLOCKS,
    default_hyperparams,
    resnet_conv5,
    resnet_to_conv4,
    subtract_means,
)
from training_src.models.layers import Layers
from training_src.models.preprocessing import scale_to_one

FIRST_STAGE = "model._feature_extractor_for_proposal_features"
SECOND_STAGE = "model._feature_extractor_for_box_classifier_features"


class Backbone(NamedTuple):
    """A kind of feature extractor.

    Attributes:
        to_level_4: From images to the map to crop from, 16 times smaller, or 8 times by a keyword `stride`.
        from_level_4: From crops of that map to what is classified.
        hyperparams: Of both parts' layers.
        scale: From pixels of 0..255 to what the backbone takes.
    """

    to_level_4: Callable[..., tf.Tensor]
    from_level_4: Callable[[tf.Tensor, Layers], tf.Tensor]
    hyperparams: ConvHyperparams
    scale: Callable[[tf.Tensor], tf.Tensor]

    def map_to_crop_from(self, images: tf.Tensor, config: FasterRcnnFeatureExtractor) -> tf.Tensor:
        """The first stage's map."""
        stride = config.first_stage_features_stride
        return self.to_level_4(images, self.layers(config), **({} if stride == 16 else {"stride": stride}))

    def layers(self, config: FasterRcnnFeatureExtractor) -> Layers:
        """What makes a part's layers."""
        return Layers(self.hyperparams, freeze_batchnorm=not config.batch_norm_trainable)


BACKBONES = {
    **{
        f"faster_rcnn_resnet{depth}_keras": Backbone(
            partial(resnet_to_conv4, blocks=blocks, prefix=FIRST_STAGE),
            partial(resnet_conv5, blocks=blocks, prefix=SECOND_STAGE),
            default_hyperparams(weight_decay=0.0),
            subtract_means,
        )
        for depth, blocks in BLOCKS.items()
    },
    "faster_rcnn_inception_resnet_v2_keras": Backbone(
        partial(inception_resnet_v2.inception_resnet_v2_to_block17, prefix=FIRST_STAGE),
        partial(inception_resnet_v2.inception_resnet_v2_from_block17, prefix=SECOND_STAGE),
        inception_resnet_v2.default_hyperparams(),
        scale_to_one,
    ),
}
