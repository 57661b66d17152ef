# SPDX-License-Identifier: Apache-2.0
"""A single-shot detector: the sentence that joins backbone, pyramid, heads, anchors, losses and suppression."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import keras  # type: ignore[import-untyped]
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.anchors import anchors_per_cell, multiscale_anchors
from training_src.models.box_coder import decode
from training_src.models.config.ssd import Ssd
from training_src.models.errors import ConfigError
from training_src.models.feature_pyramid import feature_pyramid
from training_src.models.heads import heads
from training_src.models.layers import Layers
from training_src.models.losses import sigmoid_focal_loss, smooth_l1_loss
from training_src.models.matching import Targets, assign_targets
from training_src.models.mobilenet_v2 import mobilenet_v2
from training_src.models.non_max_suppression import Detections, non_max_suppression

CODE_SIZE = 4


class GroundTruth(NamedTuple):
    """A padded batch of labelled boxes, at least one row an image.

    Attributes:
        boxes: `(batch, boxes, 4)` float32: ymin, xmin, ymax, xmax, normalised.
        classes: `(batch, boxes)` int32, from 0 (label-map id minus 1).
        weights: `(batch, boxes)` float32; 0 for padding.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    weights: tf.Tensor


class Losses(NamedTuple):
    """Scalars, weighted and normalised."""

    classification: tf.Tensor
    localization: tf.Tensor


@dataclass(frozen=True)
class Detector:
    """A network and what turns its output into losses and detections.

    Attributes:
        config: The description it was built from.
        network: Keras model from images of -1..1, `(batch, height, width, 3)`, to box encodings
            `(batch, anchors, 4)` and class logits `(batch, anchors, num_classes + 1)`.
        anchors: `(anchors, 4)`: ymin, xmin, ymax, xmax, normalised.
    """

    config: Ssd
    network: keras.Model
    anchors: tf.Tensor

    @property
    def height(self) -> int:
        """The input's, in pixels."""
        return self.config.image_resizer.fixed_shape_resizer.height

    @property
    def width(self) -> int:
        """The input's, in pixels."""
        return self.config.image_resizer.fixed_shape_resizer.width

    def targets(self, truth: GroundTruth) -> Targets:
        """What each anchor should predict."""
        return assign_targets(
            self.config.matcher.argmax_matcher,
            self.config.box_coder.faster_rcnn_box_coder,
            self.anchors,
            *truth,
            num_classes=self.config.num_classes,
        )

    def losses(self, encodings: tf.Tensor, logits: tf.Tensor, truth: GroundTruth) -> Losses:
        """How far predictions are from the ground truth."""
        targets = self.targets(truth)
        loss = self.config.loss
        focal = loss.classification_loss.weighted_sigmoid_focal
        classification = sigmoid_focal_loss(logits, targets.classes, focal.gamma, focal.alpha)
        localization = smooth_l1_loss(encodings, targets.boxes, loss.localization_loss.weighted_smooth_l1.delta)
        matches = tf.maximum(tf.reduce_sum(targets.box_weights), 1.0)
        normaliser = matches if self.config.normalize_loss_by_num_matches else tf.ones([])
        code_size = CODE_SIZE if self.config.normalize_loc_loss_by_codesize else 1
        return Losses(
            classification=tf.reduce_sum(classification * targets.class_weights[..., None])
            * (loss.classification_weight / normaliser),
            localization=tf.reduce_sum(localization * targets.box_weights)
            * (loss.localization_weight / (normaliser * code_size)),
        )

    def regularization_loss(self) -> tf.Tensor:
        """The sum of what the layers' regularisers ask for."""
        return tf.add_n(
            [
                2.0 * variable.regularizer.l2 * tf.nn.l2_loss(variable.value)
                for variable in self.network.trainable_variables
                if variable.regularizer is not None
            ]
            or [tf.zeros([])]
        )

    def scored_boxes(
        self, encodings: tf.Tensor, logits: tf.Tensor, class_ids: Sequence[int] = ()
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Boxes and scores before any suppression.

        Args:
            encodings: `(batch, anchors, 4)`.
            logits: `(batch, anchors, num_classes + 1)`.
            class_ids: The label map's ids, ascending, where only these classes count; () for all.

        Returns:
            `(batch, anchors, 4)`, not clipped, and `(batch, anchors, classes)`.
        """
        boxes = decode(self.config.box_coder.faster_rcnn_box_coder, encodings, self.anchors[None])
        columns = list(class_ids) or list(range(1, self.config.num_classes + 1))
        return boxes, tf.sigmoid(tf.gather(logits, columns, axis=-1))

    def detections(self, encodings: tf.Tensor, logits: tf.Tensor, class_ids: Sequence[int] = ()) -> Detections:
        """What is left after non-maximum suppression; classes are positions in `class_ids`."""
        boxes, scores = self.scored_boxes(encodings, logits, class_ids)
        return non_max_suppression(self.config.post_processing.batch_non_max_suppression, boxes, scores)


def build_detector(config: Ssd) -> Detector:
    """The detector that a config describes, its weights freshly drawn.

    Raises:
        ConfigError: If levels of pyramid and anchors differ, or the input does not divide into them.
    """
    _check_levels(config)
    extractor, predictor = config.feature_extractor, config.box_predictor.weight_shared_convolutional_box_predictor
    resizer, anchor_config = (
        config.image_resizer.fixed_shape_resizer,
        config.anchor_generator.multiscale_anchor_generator,
    )
    own = extractor.conv_hyperparams if extractor.override_base_feature_extractor_hyperparams else None
    pyramid_depth = max(int(extractor.fpn.additional_layer_depth * extractor.depth_multiplier), extractor.min_depth)

    images = keras.Input((resizer.height, resizer.width, 3), name="images")
    backbone = mobilenet_v2(
        images, Layers(own, config.freeze_batchnorm), extractor.depth_multiplier, extractor.min_depth
    )
    maps = feature_pyramid(
        backbone,
        Layers(extractor.conv_hyperparams, config.freeze_batchnorm),
        extractor.fpn,
        pyramid_depth,
        extractor.use_depthwise,
    )
    outputs = heads(
        maps,
        Layers(predictor.conv_hyperparams, config.freeze_batchnorm),
        predictor,
        anchors_per_cell(anchor_config),
        config.num_classes,
    )
    shapes = [(features.shape[1], features.shape[2]) for features in maps]
    anchors = multiscale_anchors(anchor_config, shapes, resizer.height, resizer.width)
    return Detector(config, keras.Model(images, outputs, name="ssd"), tf.constant(anchors))


def _check_levels(config: Ssd) -> None:
    levels, anchors = config.feature_extractor.fpn, config.anchor_generator.multiscale_anchor_generator
    if (levels.min_level, levels.max_level) != (anchors.min_level, anchors.max_level):
        raise ConfigError(
            f"model.ssd: fpn has levels {levels.min_level} to {levels.max_level}, but the anchor generator "
            f"{anchors.min_level} to {anchors.max_level}; give both the same"
        )
    if not 2 <= levels.min_level <= 5 or levels.max_level < levels.min_level:
        raise ConfigError(
            f"model.ssd.feature_extractor.fpn: levels {levels.min_level} to {levels.max_level} do not exist"
        )
    resizer = config.image_resizer.fixed_shape_resizer
    multiple = 2 ** min(levels.max_level, 5)
    if resizer.height % multiple or resizer.width % multiple:
        raise ConfigError(
            f"model.ssd.image_resizer: {resizer.height}x{resizer.width} does not divide by {multiple}, "
            "as the levels of the pyramid need it"
        )
