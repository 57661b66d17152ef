# SPDX-License-Identifier: Apache-2.0
"""Faster R-CNN's first stage: what it says of every anchor, what it should have said, and what it proposes.

https://arxiv.org/abs/1506.01497, section 3.1; OD API `faster_rcnn_meta_arch`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import keras
import tensorflow as tf

from training_src.models.anchors import anchors_per_cell, generate_anchors
from training_src.models.box_coder import decode
from training_src.models.config.faster_rcnn import FasterRcnn
from training_src.models.config.matching import ArgMaxMatcher, FasterRcnnBoxCoder
from training_src.models.detector import GroundTruth, Inputs
from training_src.models.feature_extractors.faster_rcnn import BACKBONES
from training_src.models.losses import smooth_l1_loss, softmax_cross_entropy
from training_src.models.matching import ClassEncoding, Targets, assign_targets
from training_src.models.non_max_suppression import Detections
from training_src.models.preprocessing import height_and_width
from training_src.models.region_proposals import Proposals, clip, inside, proposal_head, propose
from training_src.models.sampling import balanced_sample

# The API fixes matching and coding.
CODER = FasterRcnnBoxCoder()
MATCHER = ArgMaxMatcher(matched_threshold=0.7, unmatched_threshold=0.3, force_match_for_each_row=True)
OBJECTNESS = ClassEncoding(num_classes=1)
SMOOTH_L1_DELTA = 1.0


class ProposalOutputs(NamedTuple):
    """What the first stage says, by the names of the OD API's prediction dictionary.

    Attributes:
        rpn_features_to_crop: The backbone's map, `(batch, height, width, channels)`.
        rpn_box_encodings: `(batch, anchors, 4)`.
        rpn_objectness_predictions_with_background: Logits `(batch, anchors, 2)` of background and object.
        anchors: `(anchors, 4)`: ymin, xmin, ymax, xmax in pixels, cut at the padded image's border.
        image_size: `(2,)` float32: height and width of the padded image.
        rpn_sampled: `(batch, anchors)` bool: which count in the losses; None where nothing was sampled.
    """

    rpn_features_to_crop: tf.Tensor
    rpn_box_encodings: tf.Tensor
    rpn_objectness_predictions_with_background: tf.Tensor
    anchors: tf.Tensor
    image_size: tf.Tensor
    rpn_sampled: tf.Tensor | None = None


def proposal_network(config: FasterRcnn, size: tuple[int | None, int | None]) -> keras.Model:
    """From images of this height and width to the map to crop from, box encodings and objectness of every anchor."""
    images = keras.Input((*size, 3), name="images")
    backbone = BACKBONES[config.feature_extractor.type]
    features = backbone.to_level_4(images, backbone.layers(config.feature_extractor))
    (per_cell,) = anchors_per_cell(config.first_stage_anchor_generator, 1)
    return keras.Model(images, [features, *proposal_head(features, config, per_cell)], name="first_stage")


@dataclass(frozen=True)
class ProposalStage:
    """The first stage's mathematics around its network."""

    config: FasterRcnn
    network: keras.Model

    def predict(self, inputs: Inputs, training: bool) -> ProposalOutputs:
        """What the network says of every anchor; in training, of those within the image unless they are cut there."""
        size = tf.cast(tf.shape(inputs.images)[1:3], tf.float32)
        features, encodings, logits = as_float32(self.network(inputs.images, training=training))
        shapes = [height_and_width(features)]
        anchors = generate_anchors(self.config.first_stage_anchor_generator, shapes, *height_and_width(inputs.images))
        if training and not self.config.clip_anchors_to_image:
            kept = tf.where(inside(anchors, size))[:, 0]
            anchors = tf.gather(anchors, kept)
            encodings, logits = tf.gather(encodings, kept, axis=1), tf.gather(logits, kept, axis=1)
        return ProposalOutputs(features, encodings, logits, clip(anchors, size), size)

    def proposals(self, found: ProposalOutputs, true_shapes: tf.Tensor) -> Proposals:
        """The likeliest boxes, within each image's `true_shapes`, `(batch, 3)` int32."""
        return propose(
            self.config,
            CODER,
            found.rpn_box_encodings,
            found.rpn_objectness_predictions_with_background,
            found.anchors,
            tf.cast(true_shapes[:, :2], tf.float32),
        )

    def targets(self, found: ProposalOutputs, truth: GroundTruth) -> Targets:
        """What each anchor should predict: an object, whatever its class."""
        boxes = truth.boxes * tf.tile(found.image_size, [2])
        classes = tf.zeros_like(truth.classes)
        return assign_targets(MATCHER, CODER, found.anchors, boxes, classes, truth.weights, OBJECTNESS)

    def sample(self, found: ProposalOutputs, truth: GroundTruth, seed: tf.Tensor | None) -> tf.Tensor:
        """Which anchors count in the losses, `(batch, anchors)` bool."""
        targets = self.targets(found, truth)
        return balanced_sample(
            targets.class_weights != 0,
            targets.columns > 0,
            self.config.first_stage_minibatch_size,
            self.config.first_stage_positive_balance_fraction,
            static=self.config.use_static_balanced_label_sampler and self.config.use_static_shapes,
            seed=seed,
        )

    def losses(self, found: ProposalOutputs, truth: GroundTruth) -> dict[str, tf.Tensor]:
        """Multi-task loss: equations 1 and 2 of the paper, for each image its own mean."""
        targets = self.targets(found, truth)
        chosen = self.sample(found, truth, None) if found.rpn_sampled is None else found.rpn_sampled
        sampled = tf.cast(chosen, tf.float32)
        localization = smooth_l1_loss(found.rpn_box_encodings, targets.boxes, SMOOTH_L1_DELTA) * targets.box_weights
        object_or_not = tf.one_hot(tf.maximum(targets.columns, 0), 2)
        objectness = softmax_cross_entropy(found.rpn_objectness_predictions_with_background, object_or_not)
        count = tf.maximum(tf.reduce_sum(sampled, axis=1), 1.0)

        def mean(losses: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(tf.reduce_sum(losses * sampled, axis=1) / count)

        return {
            "Loss/RPNLoss/localization_loss": self.config.first_stage_localization_loss_weight * mean(localization),
            "Loss/RPNLoss/objectness_loss": self.config.first_stage_objectness_loss_weight * mean(objectness),
        }

    def detections(self, found: ProposalOutputs, true_shapes: tf.Tensor) -> Detections:
        """Proposals as what is detected, all of one class, where there is no second stage."""
        proposals = self.proposals(found, true_shapes)
        scale = tf.tile(tf.cast(true_shapes[:, :2], tf.float32), [1, 2])[:, None]
        all_scores = tf.nn.softmax(found.rpn_objectness_predictions_with_background)
        shown = tf.sequence_mask(proposals.count, tf.shape(proposals.scores)[1], tf.float32)
        return Detections(
            boxes=proposals.boxes / scale,
            scores=proposals.scores,
            classes=tf.zeros_like(proposals.scores),
            count=proposals.count,
            anchor_indices=proposals.anchor_indices,
            multiclass_scores=tf.gather(all_scores, proposals.anchor_indices, batch_dims=1) * shown[..., None],
            raw_boxes=decode(CODER, found.rpn_box_encodings, found.anchors[None]) / scale,
            raw_scores=all_scores,
        )


def as_float32(outputs: list[tf.Tensor]) -> list[tf.Tensor]:
    """Crops, boxes and losses are computed in 32 bits whatever the layers' precision."""
    return [tf.cast(each, tf.float32) for each in outputs]
