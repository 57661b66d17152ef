# SPDX-License-Identifier: Apache-2.0
"""Faster R-CNN's first stage: what it says of every anchor, what it should have said, and what it proposes.

https://arxiv.org/abs/1506.01497, section 3.1; OD API `faster_rcnn_meta_arch`.
"""

from collections.abc import Sequence
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
from training_src.models.layers import Layers
from training_src.models.losses import smooth_l1_loss, softmax_cross_entropy
from training_src.models.matching import ClassEncoding, Targets, assign_targets
from training_src.models.non_max_suppression import Detections
from training_src.models.preprocessing import height_and_width
from training_src.models.sampling import balanced_sample

FIRST_CONVOLUTION = "model._first_stage_box_predictor_first_conv.layer_with_weights"
HEADS = "model._first_stage_box_predictor._prediction_heads"
# The API fixes matching and coding.
CODER = FasterRcnnBoxCoder()
MATCHER = ArgMaxMatcher(matched_threshold=0.7, unmatched_threshold=0.3, force_match_for_each_row=True)
OBJECTNESS = ClassEncoding(num_classes=1)
SMOOTH_L1_DELTA = 1.0


class Proposals(NamedTuple):
    """A batch's proposals, best first, padded with zeros.

    Attributes:
        boxes: `(batch, n, 4)`: ymin, xmin, ymax, xmax in pixels, cut at the image's border.
        scores: `(batch, n)`: the probability of an object.
        anchor_indices: `(batch, n)` int32: the anchor of each.
        count: `(batch,)` int32: how many are no padding.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    anchor_indices: tf.Tensor
    count: tf.Tensor


class ProposalOutputs(NamedTuple):
    """What the first stage says, by the names of the OD API's prediction dictionary.

    Attributes:
        rpn_features_to_crop: The maps, finest first, `(batch, height, width, channels)` each.
        rpn_box_encodings: `(batch, anchors, 4)`.
        rpn_objectness_predictions_with_background: Logits `(batch, anchors, 2)` of background and object.
        anchors: `(anchors, 4)`: ymin, xmin, ymax, xmax in pixels, cut at the padded image's border.
        image_size: `(2,)` float32: height and width of the padded image.
        rpn_sampled: `(batch, anchors)` bool: which count in the losses; None where nothing was sampled.
    """

    rpn_features_to_crop: tuple[tf.Tensor, ...]
    rpn_box_encodings: tf.Tensor
    rpn_objectness_predictions_with_background: tf.Tensor
    anchors: tf.Tensor
    image_size: tf.Tensor
    rpn_sampled: tf.Tensor | None = None


def proposal_network(config: FasterRcnn, size: tuple[int | None, int | None]) -> keras.Model:
    """From images of this height and width to the maps to crop from, box encodings and objectness of every anchor."""
    images = keras.Input((*size, 3), name="images")
    maps = BACKBONES[config.feature_extractor.type].maps(images, config.feature_extractor)
    cells = anchors_per_cell(config.first_stage_anchor_generator, len(maps))
    return keras.Model(images, [*maps, *proposal_heads(maps, config, cells)], name="first_stage")


def proposal_heads(
    maps: Sequence[tf.Tensor], config: FasterRcnn, anchors_per_cell: Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Box encodings `(batch, anchors, 4)` and logits `(batch, anchors, 2)` of background and object, map by map.

    Args:
        maps: `(batch, height, width, channels)` each, the channels alike.
        config: Depth, kernel and hyperparameters of the convolution before the heads, which all maps share.
        anchors_per_cell: Anchors at each cell of each map.
    """
    layers = Layers(config.first_stage_box_predictor_conv_hyperparams, freeze_batchnorm=False)
    hidden = _first_convolution(maps, config, layers)
    boxes, classes = [], []
    for level, (features, anchors) in enumerate(zip(hidden, anchors_per_cell, strict=True)):
        name = f"{HEADS}.box_encodings.{level}._box_encoder_layers.0"
        encodings = layers.convolution(4 * anchors, 1, name, bias=0.0)(features)
        boxes.append(keras.layers.Reshape((-1, 4), name=f"rpn_box_encodings_{level}")(encodings))
        name = f"{HEADS}.class_predictions_with_background.{level}._class_predictor_layers.0"
        logits = layers.convolution(2 * anchors, 1, name, bias=0.0)(features)
        classes.append(keras.layers.Reshape((-1, 2), name=f"rpn_objectness_{level}")(logits))
    return keras.ops.concatenate(boxes, axis=1), keras.ops.concatenate(classes, axis=1)


def _first_convolution(maps: Sequence[tf.Tensor], config: FasterRcnn, layers: Layers) -> list[tf.Tensor]:
    """What the heads look at, of each map."""
    hyperparams = config.first_stage_box_predictor_conv_hyperparams
    convolution = layers.convolution(
        config.first_stage_box_predictor_depth,
        config.first_stage_box_predictor_kernel_size,
        f"{FIRST_CONVOLUTION}-0",
        dilation=config.first_stage_atrous_rate,
        bias=None if hyperparams.batch_norm and not hyperparams.force_use_bias else 0.0,
    )
    hidden = [convolution(features) for features in maps]
    if hyperparams.batch_norm:
        norm = layers.batch_normalization(f"{FIRST_CONVOLUTION}-1")
        hidden = [norm(features) for features in hidden]
    # The API's, whatever the config's activation is.
    return [keras.ops.relu6(features) for features in hidden]


@dataclass(frozen=True)
class ProposalStage:
    """The first stage's mathematics around its network."""

    config: FasterRcnn
    network: keras.Model

    def predict(self, inputs: Inputs, training: bool) -> ProposalOutputs:
        """What the network says of every anchor; in training, of those within the image unless they are cut there."""
        size = tf.cast(tf.shape(inputs.images)[1:3], tf.float32)
        # Crops, boxes and losses are computed in 32 bits whatever the layers' precision.
        outputs = [tf.cast(each, tf.float32) for each in self.network(inputs.images, training=training)]
        *maps, encodings, logits = outputs
        # The API tells a first stage's generator no size of the image: cells of any image are centred.
        anchors = generate_anchors(
            self.config.first_stage_anchor_generator, [height_and_width(features) for features in maps], 1, 1
        )
        if training and not self.config.clip_anchors_to_image:
            kept = tf.where(inside(anchors, size))[:, 0]
            anchors = tf.gather(anchors, kept)
            encodings, logits = tf.gather(encodings, kept, axis=1), tf.gather(logits, kept, axis=1)
        return ProposalOutputs(tuple(maps), encodings, logits, clip(anchors, size), size)

    def proposals(self, found: ProposalOutputs, true_shapes: tf.Tensor) -> Proposals:
        """The likeliest boxes after non-maximum suppression, within each image's `true_shapes`, `(batch, 3)` int32."""
        logits = found.rpn_objectness_predictions_with_background
        limit = self.config.first_stage_max_proposals
        scores, order = tf.math.top_k(tf.nn.softmax(logits)[..., 1], tf.shape(logits)[1])
        boxes = tf.gather(decode(CODER, found.rpn_box_encodings, found.anchors[None]), order, batch_dims=1)
        # The operation leaves the order of equal scores open, so it is given ranks, the best's the highest.
        number = tf.shape(scores)[1]
        ranks = tf.where(
            scores > self.config.first_stage_nms_score_threshold, tf.cast(number - tf.range(number), tf.float32), 0
        )
        kept = tf.image.combined_non_max_suppression(
            boxes[:, :, None],
            ranks[..., None],
            max_output_size_per_class=limit,
            max_total_size=limit,
            iou_threshold=self.config.first_stage_nms_iou_threshold,
            score_threshold=0.0,
            clip_boxes=False,
        )
        clipped = clip(kept.nmsed_boxes, tf.cast(true_shapes[:, None, :2], tf.float32))
        present = (kept.nmsed_scores > 0) & tf.reduce_all(clipped[..., 2:] > clipped[..., :2], axis=-1)
        # What is left moves up, in its order.
        place = tf.argsort(tf.cast(~present, tf.int32), axis=1, stable=True)
        count = tf.reduce_sum(tf.cast(present, tf.int32), axis=1)
        shown = tf.sequence_mask(count, limit)
        sorted_by_score = tf.where(
            shown, number - tf.cast(tf.gather(kept.nmsed_scores, place, batch_dims=1), tf.int32), 0
        )
        return Proposals(
            boxes=tf.where(shown[..., None], tf.gather(clipped, place, batch_dims=1), 0.0),
            scores=tf.where(shown, tf.gather(scores, sorted_by_score, batch_dims=1), 0.0),
            anchor_indices=tf.where(shown, tf.gather(order, sorted_by_score, batch_dims=1), 0),
            count=count,
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


def clip(boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Boxes cut at a border.

    Args:
        boxes: `(..., 4)`: ymin, xmin, ymax, xmax.
        size: `(..., 2)`, of a shape that broadcasts: height and width.
    """
    return tf.maximum(tf.minimum(boxes, tf.concat([size, size], axis=-1)), 0.0)


def inside(boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Which boxes `(n, 4)` lie wholly within a height and width `(2,)`: `(n,)` bool."""
    return tf.reduce_all((boxes[:, :2] >= 0) & (boxes[:, 2:] <= size), axis=1)
