# SPDX-License-Identifier: Apache-2.0
"""A single-shot detector: the sentence that joins backbone, pyramid, heads, anchors, losses and suppression."""

from collections.abc import Sequence

import keras  # type: ignore[import-untyped]
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models import preprocessing
from training_src.models.anchors import anchors_per_cell, multiscale_anchors
from training_src.models.box_coder import decode
from training_src.models.config.ssd import Ssd
from training_src.models.detector import Detector, GroundTruth, Inputs, Predictions
from training_src.models.errors import ConfigError
from training_src.models.feature_pyramid import feature_pyramid
from training_src.models.heads import heads
from training_src.models.layers import Layers
from training_src.models.losses import sigmoid_focal_loss, smooth_l1_loss
from training_src.models.matching import Targets, assign_targets
from training_src.models.mobilenet_v2 import mobilenet_v2
from training_src.models.non_max_suppression import Detections, non_max_suppression

BOXES = "box_encodings"
CLASSES = "class_predictions_with_background"
ANCHORS = "anchors"
CODE_SIZE = 4


class SsdDetector(Detector):
    """A single-shot detector.

    Args:
        config: The config's `model.ssd`.

    Raises:
        ConfigError: If levels of pyramid and anchors differ, or the input does not divide into them.
    """

    def __init__(self, config: Ssd) -> None:
        _check_levels(config)
        self.config = config
        self.num_classes = config.num_classes
        self.resizer = config.image_resizer
        self.networks = (_network(config),)

    def normalise(self, pixels: tf.Tensor, true_shapes: tf.Tensor) -> Inputs:
        return Inputs(preprocessing.normalise(pixels), true_shapes)

    def predict(
        self,
        inputs: Inputs,
        training: bool,
        truth: GroundTruth | None = None,  # noqa: ARG002
        seed: tf.Tensor | None = None,  # noqa: ARG002
    ) -> Predictions:
        encodings, logits, *maps = self.networks[0](inputs.images, training=training)
        height, width = inputs.images.shape[1:3]
        anchors = multiscale_anchors(
            self.config.anchor_generator.multiscale_anchor_generator,
            [tuple(features.shape[1:3]) for features in maps],
            height,
            width,
        )
        return {
            BOXES: encodings,
            CLASSES: logits,
            ANCHORS: tf.constant(anchors),
            **{f"feature_map_{level}": features for level, features in enumerate(maps)},
        }

    def targets(self, anchors: tf.Tensor, truth: GroundTruth) -> Targets:
        """What each anchor should predict."""
        return assign_targets(
            self.config.matcher.argmax_matcher,
            self.config.box_coder.faster_rcnn_box_coder,
            anchors,
            *truth,
            num_classes=self.config.num_classes,
        )

    def losses(self, predictions: Predictions, truth: GroundTruth) -> dict[str, tf.Tensor]:
        targets = self.targets(predictions[ANCHORS], truth)
        loss = self.config.loss
        focal = loss.classification_loss.weighted_sigmoid_focal
        classification = sigmoid_focal_loss(predictions[CLASSES], targets.classes, focal.gamma, focal.alpha)
        localization = smooth_l1_loss(
            predictions[BOXES], targets.boxes, loss.localization_loss.weighted_smooth_l1.delta
        )
        matches = tf.maximum(tf.reduce_sum(targets.box_weights), 1.0)
        normaliser = matches if self.config.normalize_loss_by_num_matches else tf.ones([])
        code_size = CODE_SIZE if self.config.normalize_loc_loss_by_codesize else 1
        return {
            "Loss/classification_loss": tf.reduce_sum(classification * targets.class_weights[..., None])
            * (loss.classification_weight / normaliser),
            "Loss/localization_loss": tf.reduce_sum(localization * targets.box_weights)
            * (loss.localization_weight / (normaliser * code_size)),
        }

    def scored_boxes(self, predictions: Predictions, class_ids: Sequence[int] = ()) -> tuple[tf.Tensor, tf.Tensor]:
        """Boxes and scores before any suppression.

        Args:
            predictions: Of `predict`.
            class_ids: The label map's ids, ascending, where only these classes count; () for all.

        Returns:
            `(batch, anchors, 4)`, not clipped, and `(batch, anchors, classes)`.
        """
        boxes = decode(self.config.box_coder.faster_rcnn_box_coder, predictions[BOXES], predictions[ANCHORS][None])
        columns = list(class_ids) or list(range(1, self.config.num_classes + 1))
        return boxes, tf.sigmoid(tf.gather(predictions[CLASSES], columns, axis=-1))

    def postprocess(
        self,
        predictions: Predictions,
        true_shapes: tf.Tensor,  # noqa: ARG002
        class_ids: Sequence[int] = (),
    ) -> Detections:
        boxes, scores = self.scored_boxes(predictions, class_ids)
        return non_max_suppression(self.config.post_processing.batch_non_max_suppression, boxes, scores)

    def inner_arrays(self, predictions: Predictions, truth: GroundTruth | None = None) -> dict[str, tf.Tensor]:
        if truth is None:
            return {"anchors": predictions[ANCHORS]}
        targets = self.targets(predictions[ANCHORS], truth)
        return {
            "cls_targets": targets.classes,
            "cls_weights": targets.class_weights[..., None] * tf.ones_like(targets.classes),
            "reg_targets": targets.boxes,
            "reg_weights": targets.box_weights,
            "match": targets.match,
        }


def _network(config: Ssd) -> keras.Model:
    """From images to box encodings, class logits, and the maps fed to the heads."""
    extractor, predictor = config.feature_extractor, config.box_predictor.weight_shared_convolutional_box_predictor
    resizer = config.image_resizer.fixed_shape_resizer
    anchor_config = config.anchor_generator.multiscale_anchor_generator
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
    return keras.Model(images, [*outputs, *maps], name="ssd")


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
