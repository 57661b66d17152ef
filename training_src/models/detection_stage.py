# SPDX-License-Identifier: Apache-2.0
"""Faster R-CNN's second stage: what it says of every proposal, what it should have said, and what it detects.

Fast R-CNN, https://arxiv.org/abs/1504.08083; OD API `faster_rcnn_meta_arch` and
`mask_rcnn_keras_box_predictor`. Boxes are in pixels of the padded image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import keras
import tensorflow as tf

from training_src.models.box_coder import decode
from training_src.models.config.faster_rcnn import FasterRcnn, FcHyperparams, MaskRcnnBoxPredictor
from training_src.models.config.losses import (
    ClassificationLoss,
    LocalizationLoss,
    Loss,
    WeightedSmoothL1,
    WeightedSoftmax,
)
from training_src.models.config.matching import ArgMaxMatcher
from training_src.models.config.post_processing import PostProcessing
from training_src.models.crop_and_resize import crop_by_level, levels_of_boxes
from training_src.models.detector import GroundTruth
from training_src.models.errors import ConfigError
from training_src.models.feature_extractors.faster_rcnn import BACKBONES
from training_src.models.hard_example_miner import mine_hard_examples
from training_src.models.layers import BatchNormalization
from training_src.models.losses import classification_loss, smooth_l1_loss
from training_src.models.matching import ClassEncoding, Targets, assign_targets
from training_src.models.non_max_suppression import Detections, convert_scores, non_max_suppression
from training_src.models.proposal_stage import CODER, SMOOTH_L1_DELTA, ProposalOutputs, Proposals
from training_src.models.sampling import balanced_sample

BOXES = "model._mask_rcnn_box_predictor._box_prediction_head._box_encoder_layers"
CLASSES = "model._mask_rcnn_box_predictor._class_prediction_head._class_predictor_layers"
MATCHER = ArgMaxMatcher(matched_threshold=0.5, unmatched_threshold=0.5)
# The score of rows that only pad.
NO_PROPOSAL = -1.0
SOFTMAX = ClassificationLoss(weighted_softmax=WeightedSoftmax())


class DetectionOutputs(NamedTuple):
    """What the second stage says, by the names of the OD API's prediction dictionary.

    Attributes:
        proposal_boxes: `(batch, proposals, 4)`: what was looked at; ymin, xmin, ymax, xmax.
        proposal_boxes_normalized: The same as shares of the padded image.
        num_proposals: `(batch,)` int32: how many are no padding.
        box_classifier_features: Of each crop, `(batch * proposals, height, width, channels)`.
        refined_box_encodings: `(batch * proposals, 1 or classes, 4)`.
        class_predictions_with_background: Logits `(batch * proposals, classes + 1)`, column 0 the background.
        second_stage_sampled: `(batch, all proposals)` bool: which these are; None where nothing was sampled.
    """

    proposal_boxes: tf.Tensor
    proposal_boxes_normalized: tf.Tensor
    num_proposals: tf.Tensor
    box_classifier_features: tf.Tensor
    refined_box_encodings: tf.Tensor
    class_predictions_with_background: tf.Tensor
    second_stage_sampled: tf.Tensor | None = None


def detection_network(config: FasterRcnn, channels: int) -> keras.Model:
    """From crops of a map with so many channels to their features, box encodings and class logits."""
    crops = keras.Input((config.initial_crop_size, config.initial_crop_size, channels), name="crops")
    pooled = keras.layers.MaxPooling2D(config.maxpool_kernel_size, strides=config.maxpool_stride)(crops)
    backbone = BACKBONES[config.feature_extractor.type]
    features = backbone.classified(pooled, config.feature_extractor)
    assert config.second_stage_box_predictor is not None  # checked where there is a second stage
    predictor = config.second_stage_box_predictor.mask_rcnn_box_predictor
    return keras.Model(crops, [features, *box_classifier(features, predictor, config.num_classes)], name="second_stage")


def box_classifier(features: tf.Tensor, config: MaskRcnnBoxPredictor, num_classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Box encodings `(n, 1 or num_classes, 4)` and class logits `(n, num_classes + 1)`, column 0 the background.

    Args:
        features: Of each proposal, `(n, height, width, channels)`.
        config: Dropout, and whether all classes share a box.
        num_classes: Without the background.
    """
    pooled = keras.ops.mean(features, axis=(1, 2))
    boxes = 1 if config.share_box_across_classes else num_classes
    encodings = _head(pooled, config, 4 * boxes, BOXES)
    return (
        keras.layers.Reshape((boxes, 4), name="refined_box_encodings")(encodings),
        _head(pooled, config, num_classes + 1, CLASSES),
    )


def _head(pooled: tf.Tensor, config: MaskRcnnBoxPredictor, units: int, path: str) -> tf.Tensor:
    """Dropout, a dense layer and perhaps a norm; the API's list of layers begins with one that flattens."""
    index = 1
    if config.use_dropout:
        dropout = keras.layers.Dropout(1 - config.dropout_keep_probability, name=f"{path}.{index}")
        pooled, index = dropout(pooled), index + 1
    outputs = keras.layers.Dense(units, name=f"{path}.{index}")(pooled)
    return _normalised(outputs, config.fc_hyperparams, f"{path}.{index + 1}")


def _normalised(outputs: tf.Tensor, config: FcHyperparams, name: str) -> tf.Tensor:
    if config.batch_norm is None:
        return outputs
    # TensorFlow's fused kernel wants a map.
    maps = keras.ops.expand_dims(keras.ops.expand_dims(outputs, 1), 1)
    return keras.ops.squeeze(BatchNormalization(config.batch_norm, False, name)(maps), axis=(1, 2))


@dataclass(frozen=True)
class DetectionStage:
    """The second stage's mathematics around its network."""

    config: FasterRcnn
    network: keras.Model

    def sample(
        self, proposals: Proposals, size: tf.Tensor, truth: GroundTruth, seed: tf.Tensor | None
    ) -> tuple[Proposals, tf.Tensor]:
        """As many proposals as are trained with, and which of all they are, `(batch, proposals)` bool.

        Args:
            proposals: All of the first stage's.
            size: `(2,)` float32: height and width of the padded image.
            truth: By which positives and negatives are told apart.
            seed: `(2,)` int32; None takes proposals in their order.

        Raises:
            ConfigError: If more are to be sampled than are proposed.
        """
        config, static = self.config, self.config.use_static_shapes
        _check_sample(config)
        targets = self.targets(proposals.boxes, size, truth)
        real = tf.sequence_mask(proposals.count, config.first_stage_max_proposals)
        sampled = balanced_sample(
            real & (targets.class_weights > 0),
            targets.columns > 0,
            config.second_stage_batch_size,
            config.second_stage_balance_fraction,
            static=static and config.use_static_balanced_label_sampler,
            seed=None if seed is None else tf.add(seed, [0, 1]),
        )
        wanted = config.second_stage_batch_size
        count = tf.reduce_sum(tf.cast(sampled, tf.int32), axis=1)
        filled = tf.sequence_mask(count, wanted)
        rows = tf.argsort(tf.cast(~sampled, tf.int32), axis=1, stable=True)[:, :wanted]
        # With static shapes the API repeats the first proposal where there are too few, and counts it.
        rows = tf.where(filled, rows, 0)
        boxes, scores, anchors = (
            tf.gather(each, rows, batch_dims=1)
            for each in (proposals.boxes, proposals.scores, proposals.anchor_indices)
        )
        if static:
            return Proposals(boxes, scores, anchors, tf.fill(tf.shape(count), wanted)), sampled
        shown = tf.cast(filled, tf.float32)
        return Proposals(boxes * shown[..., None], scores * shown, anchors, count), sampled

    def predict(self, first: ProposalOutputs, proposals: Proposals, training: bool) -> DetectionOutputs:
        """What each proposal holds; crops are taken from the first stage's maps."""
        boxes = tf.stop_gradient(proposals.boxes)
        normalised = boxes / tf.tile(first.image_size, [2])
        maps = first.rpn_features_to_crop
        crops = crop_by_level(
            maps,
            normalised,
            levels_of_boxes(normalised, first.image_size, len(maps)),
            self.config.initial_crop_size,
            zeros_around=self.config.use_matmul_crop_and_resize,
        )
        # Boxes and losses are computed in 32 bits whatever the layers' precision.
        outputs = [tf.cast(each, tf.float32) for each in self.network(crops, training=training)]
        return DetectionOutputs(boxes, normalised, proposals.count, *outputs)

    def targets(self, proposals: tf.Tensor, size: tf.Tensor, truth: GroundTruth) -> Targets:
        """What should be told of each proposal `(batch, n, 4)` in a padded image of this height and width `(2,)`."""
        boxes = truth.boxes * tf.tile(size, [2])
        encoding = ClassEncoding(self.config.num_classes, background_as_zeros=False)
        return assign_targets(MATCHER, CODER, proposals, boxes, truth.classes, truth.weights, encoding)

    def losses(self, found: DetectionOutputs, size: tf.Tensor, truth: GroundTruth) -> dict[str, tf.Tensor]:
        """Multi-task loss, a mean over each image's proposals; `size` as in `targets`."""
        batch, count = tf.shape(found.proposal_boxes)[0], tf.shape(found.proposal_boxes)[1]
        targets = self.targets(found.proposal_boxes, size, truth)
        logits = tf.reshape(found.class_predictions_with_background, [batch, count, self.config.num_classes + 1])
        loss = self.config.second_stage_classification_loss or SOFTMAX
        classification = classification_loss(loss, logits, targets.columns, targets.class_weights)
        encodings = _encodings_of_targets(found.refined_box_encodings, targets)
        localization = smooth_l1_loss(encodings, targets.boxes, SMOOTH_L1_DELTA) * targets.box_weights
        real = tf.sequence_mask(found.num_proposals, count, tf.float32)
        share = real / tf.cast(batch * tf.maximum(found.num_proposals, 1), tf.float32)[:, None]
        if self.config.hard_example_miner:
            share *= self._mined(found, classification * share, localization * share, targets)
        return {
            "Loss/BoxClassifierLoss/localization_loss": self.config.second_stage_localization_loss_weight
            * tf.reduce_sum(localization * share),
            "Loss/BoxClassifierLoss/classification_loss": self.config.second_stage_classification_loss_weight
            * tf.reduce_sum(classification * share),
        }

    def detections(self, found: DetectionOutputs, true_shapes: tf.Tensor, class_ids: Sequence[int]) -> Detections:
        """What is left after non-maximum suppression; arguments as `Detector.postprocess` has them."""
        size = tf.cast(true_shapes[:, :2], tf.float32)
        boxes, scores = self.decoded_boxes(found), self.scores(found)
        columns = list(class_ids) or list(range(1, self.config.num_classes + 1))
        shared = boxes.shape[2] == 1
        real = tf.sequence_mask(found.num_proposals, tf.shape(boxes)[1])[..., None]
        kept = non_max_suppression(
            self._post_processing.batch_non_max_suppression,
            boxes if shared else tf.gather(boxes, [column - 1 for column in columns], axis=2),
            tf.where(real, tf.gather(scores, columns, axis=-1), NO_PROPOSAL),
            tf.concat([tf.zeros_like(size), size], axis=1),
        )
        best = tf.zeros(tf.shape(scores)[:2], tf.int32) if shared else tf.argmax(scores[..., 1:], axis=-1)
        raw_boxes = tf.gather(boxes, best, batch_dims=2) / tf.tile(size, [1, 2])[:, None]
        return Detections.of(kept, scores, tf.clip_by_value(raw_boxes, 0.0, 1.0), scores)

    def decoded_boxes(self, found: DetectionOutputs) -> tf.Tensor:
        """Boxes in pixels, not clipped, `(batch, proposals, 1 or classes, 4)`."""
        encodings = found.refined_box_encodings
        encodings = tf.reshape(encodings, [-1, tf.shape(found.proposal_boxes)[1], *encodings.shape[1:]])
        return decode(CODER, encodings, found.proposal_boxes[:, :, None])

    def scores(self, found: DetectionOutputs) -> tf.Tensor:
        """`(batch, proposals, classes + 1)`, column 0 the background."""
        shape = [-1, tf.shape(found.proposal_boxes)[1], self.config.num_classes + 1]
        return convert_scores(self._post_processing, tf.reshape(found.class_predictions_with_background, shape))

    @property
    def _post_processing(self) -> PostProcessing:
        return self.config.second_stage_post_processing

    def _mined(
        self, found: DetectionOutputs, classification: tf.Tensor, localization: tf.Tensor, targets: Targets
    ) -> tf.Tensor:
        """1 where a proposal's losses count, `(batch, n)`: as in the API, only the first image's do."""
        assert self.config.hard_example_miner is not None
        loss = Loss(
            localization_loss=LocalizationLoss(weighted_smooth_l1=WeightedSmoothL1()),
            classification_loss=SOFTMAX,
            # The API does not tell the miner which proposals are positive.
            hard_example_miner=replace(self.config.hard_example_miner, max_negatives_per_positive=0),
            classification_weight=self.config.second_stage_classification_loss_weight,
            localization_weight=self.config.second_stage_localization_loss_weight,
        )
        count = found.num_proposals[0]
        arrays = (classification, localization, found.proposal_boxes, targets.match)
        mined = mine_hard_examples(loss, *(array[:1, :count] for array in arrays)).mined
        shape = tf.shape(classification)
        return tf.pad(tf.cast(mined, tf.float32), [[0, shape[0] - 1], [0, shape[1] - count]])


def _encodings_of_targets(encodings: tf.Tensor, targets: Targets) -> tf.Tensor:
    """Each proposal's encodings `(batch, n, 4)`: the only ones, or those of the class it should have."""
    shape = tf.shape(targets.match)
    encodings = tf.reshape(encodings, [shape[0], shape[1], *encodings.shape[1:]])
    if encodings.shape[2] == 1:
        return encodings[:, :, 0]
    with_background = tf.pad(encodings, [[0, 0], [0, 0], [1, 0], [0, 0]])
    return tf.gather(with_background, tf.maximum(targets.columns, 0), batch_dims=2)


def _check_sample(config: FasterRcnn) -> None:
    """As in the API, only training asks for it."""
    if config.second_stage_batch_size > config.first_stage_max_proposals:
        raise ConfigError(
            f"model.faster_rcnn: second_stage_batch_size is {config.second_stage_batch_size}, more than the "
            f"{config.first_stage_max_proposals} of first_stage_max_proposals; lower it"
        )
