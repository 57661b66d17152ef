# SPDX-License-Identifier: Apache-2.0
"""Faster R-CNN, https://arxiv.org/abs/1506.01497: one network proposes regions, another says what they hold.

Boxes are in pixels of the padded image between the stages, normalised outside; OD API `faster_rcnn_meta_arch`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import keras
import tensorflow as tf

from training_src.models.anchors import anchors_per_cell, generate_anchors
from training_src.models.box_classifier import box_classifier
from training_src.models.box_coder import decode
from training_src.models.config.faster_rcnn import FasterRcnn, MaskRcnnBoxPredictor
from training_src.models.config.losses import (
    ClassificationLoss,
    LocalizationLoss,
    Loss,
    WeightedSmoothL1,
    WeightedSoftmax,
)
from training_src.models.config.matching import ArgMaxMatcher, FasterRcnnBoxCoder
from training_src.models.config.post_processing import PostProcessing
from training_src.models.crop_and_resize import crop_and_resize
from training_src.models.detector import Detector, GroundTruth, Inputs, Predictions
from training_src.models.errors import ConfigError
from training_src.models.feature_extractors.inception_resnet_v2 import (
    default_hyperparams as inception_hyperparams,
)
from training_src.models.feature_extractors.inception_resnet_v2 import (
    inception_resnet_v2_from_block17,
    inception_resnet_v2_to_block17,
)
from training_src.models.feature_extractors.resnet import BLOCKS, resnet_conv5, resnet_to_conv4, subtract_means
from training_src.models.feature_extractors.resnet import default_hyperparams as resnet_hyperparams
from training_src.models.hard_example_miner import mine_hard_examples
from training_src.models.layers import Layers
from training_src.models.losses import classification_loss, smooth_l1_loss, softmax_cross_entropy
from training_src.models.matching import ClassEncoding, Targets, assign_targets
from training_src.models.non_max_suppression import Detections, convert_scores, non_max_suppression
from training_src.models.preprocessing import height_and_width, scale_to_one
from training_src.models.region_proposals import Proposals, clip, inside, proposal_head, propose
from training_src.models.sampling import balanced_sample

FIRST_STAGE = "model._feature_extractor_for_proposal_features"
SECOND_STAGE = "model._feature_extractor_for_box_classifier_features"
INCEPTION = "faster_rcnn_inception_resnet_v2_keras"
RESNETS = {f"faster_rcnn_resnet{depth}_keras": depth for depth in BLOCKS}

# The API fixes both stages' matching and coding.
CODER = FasterRcnnBoxCoder()
PROPOSAL_MATCHER = ArgMaxMatcher(matched_threshold=0.7, unmatched_threshold=0.3, force_match_for_each_row=True)
DETECTION_MATCHER = ArgMaxMatcher(matched_threshold=0.5, unmatched_threshold=0.5)
OBJECTNESS = ClassEncoding(num_classes=1)
# The score of rows that only pad.
NO_PROPOSAL = -1.0
SMOOTH_L1_DELTA = 1.0
SOFTMAX = ClassificationLoss(weighted_softmax=WeightedSoftmax())

FEATURES = "rpn_features_to_crop"
RPN_BOXES = "rpn_box_encodings"
RPN_CLASSES = "rpn_objectness_predictions_with_background"
ANCHORS = "anchors"
RPN_SAMPLED = "rpn_sampled"
IMAGE_SIZE = "image_size"
PROPOSALS = "proposal_boxes"
NORMALISED_PROPOSALS = "proposal_boxes_normalized"
NUM_PROPOSALS = "num_proposals"
SECOND_STAGE_SAMPLED = "second_stage_sampled"
BOXES = "refined_box_encodings"
CLASSES = "class_predictions_with_background"
BOX_FEATURES = "box_classifier_features"


class FasterRcnnDetector(Detector):
    """Backbone to level 4, proposals, crops, the rest of the backbone, box classifier.

    Attributes:
        config: The description it was built from.
    """

    def __init__(self, config: FasterRcnn) -> None:
        _check(config)
        self.config = config
        self.num_classes = config.num_classes
        self.resizer = config.image_resizer
        first = _first_network(config, self.input_size or (None, None))
        self.networks = (first,)
        if config.number_of_stages > 1:
            self.networks = (first, _second_network(config, first.outputs[0].shape[-1]))

    def normalise(self, pixels: tf.Tensor, true_shapes: tf.Tensor) -> Inputs:
        # Padding is scaled like the image, as in the API.
        scaled = scale_to_one(pixels) if self.config.feature_extractor.type == INCEPTION else subtract_means(pixels)
        return Inputs(scaled, true_shapes)

    def predict(
        self, inputs: Inputs, training: bool, truth: GroundTruth | None = None, seed: tf.Tensor | None = None
    ) -> Predictions:
        predictions = self.first_stage(inputs, training)
        if truth is not None:
            predictions[RPN_SAMPLED] = self._sampled_anchors(predictions, truth, seed)
        if self.config.number_of_stages == 1:
            return predictions
        proposals = self.proposals(predictions, inputs.true_shapes)
        if training and self.config.hard_example_miner is None:
            assert truth is not None  # what is sampled depends on it
            proposals, predictions[SECOND_STAGE_SAMPLED] = self.sampled(proposals, predictions[IMAGE_SIZE], truth, seed)
        return predictions | self.second_stage(predictions, proposals, training)

    def first_stage(self, inputs: Inputs, training: bool) -> Predictions:
        """The map to crop from, and the first stage's encodings and logits of every anchor."""
        size = tf.cast(tf.shape(inputs.images)[1:3], tf.float32)
        features, encodings, logits = _float32(self.networks[0](inputs.images, training=training))
        anchors = self._anchors(features, inputs.images)
        if training and not self.config.clip_anchors_to_image:
            kept = tf.where(inside(anchors, size))[:, 0]
            anchors = tf.gather(anchors, kept)
            encodings, logits = tf.gather(encodings, kept, axis=1), tf.gather(logits, kept, axis=1)
        return {
            FEATURES: features,
            RPN_BOXES: encodings,
            RPN_CLASSES: logits,
            ANCHORS: clip(anchors, size),
            IMAGE_SIZE: size,
        }

    def proposals(self, predictions: Predictions, true_shapes: tf.Tensor) -> Proposals:
        """What the first stage proposes, within each image's `true_shapes`, `(batch, 3)` int32."""
        encodings, logits, anchors = (predictions[name] for name in (RPN_BOXES, RPN_CLASSES, ANCHORS))
        return propose(self.config, CODER, encodings, logits, anchors, tf.cast(true_shapes[:, :2], tf.float32))

    def second_stage(self, predictions: Predictions, proposals: Proposals, training: bool) -> Predictions:
        """What each proposal holds; `predictions` are the first stage's."""
        boxes = tf.stop_gradient(proposals.boxes)
        normalised = boxes / tf.tile(predictions[IMAGE_SIZE], [2])
        crops = crop_and_resize(
            predictions[FEATURES],
            normalised,
            self.config.initial_crop_size,
            zeros_around=self.config.use_matmul_crop_and_resize,
        )
        features, encodings, logits = _float32(self.networks[1](crops, training=training))
        return {
            PROPOSALS: boxes,
            NORMALISED_PROPOSALS: normalised,
            NUM_PROPOSALS: proposals.count,
            BOX_FEATURES: features,
            BOXES: encodings,
            CLASSES: logits,
        }

    def losses(self, predictions: Predictions, truth: GroundTruth) -> dict[str, tf.Tensor]:
        losses = self._proposal_losses(predictions, truth)
        if self.config.number_of_stages > 1:
            losses |= self._detection_losses(predictions, truth)
        return losses

    def postprocess(
        self, predictions: Predictions, true_shapes: tf.Tensor, class_ids: Sequence[int] = ()
    ) -> Detections:
        size = tf.cast(true_shapes[:, :2], tf.float32)
        if self.config.number_of_stages == 1:
            return self._proposals_as_detections(predictions, size)
        boxes, scores = self.decoded_boxes(predictions), self.scores(predictions)
        columns = list(class_ids) or list(range(1, self.num_classes + 1))
        shared = boxes.shape[2] == 1
        real = tf.sequence_mask(predictions[NUM_PROPOSALS], tf.shape(boxes)[1])[..., None]
        kept = non_max_suppression(
            _post_processing(self.config).batch_non_max_suppression,
            boxes if shared else tf.gather(boxes, [column - 1 for column in columns], axis=2),
            tf.where(real, tf.gather(scores, columns, axis=-1), NO_PROPOSAL),
            tf.concat([tf.zeros_like(size), size], axis=1),
        )
        best = tf.zeros(tf.shape(scores)[:2], tf.int32) if shared else tf.argmax(scores[..., 1:], axis=-1)
        raw_boxes = tf.gather(boxes, best, batch_dims=2) / tf.tile(size, [1, 2])[:, None]
        return Detections.of(kept, scores, tf.clip_by_value(raw_boxes, 0.0, 1.0), scores)

    def decoded_boxes(self, predictions: Predictions) -> tf.Tensor:
        """The second stage's boxes in pixels, not clipped, `(batch, proposals, 1 or classes, 4)`."""
        proposals, encodings = predictions[PROPOSALS], predictions[BOXES]
        encodings = tf.reshape(encodings, [-1, tf.shape(proposals)[1], *encodings.shape[1:]])
        return decode(CODER, encodings, proposals[:, :, None])

    def scores(self, predictions: Predictions) -> tf.Tensor:
        """The second stage's, `(batch, proposals, classes + 1)`, column 0 the background."""
        logits = tf.reshape(predictions[CLASSES], [-1, tf.shape(predictions[PROPOSALS])[1], self.num_classes + 1])
        return convert_scores(_post_processing(self.config), logits)

    def _proposals_as_detections(self, predictions: Predictions, size: tf.Tensor) -> Detections:
        """The first stage's boxes, all of one class; `size` is `(batch, 2)`, height and width without padding."""
        encodings, logits, anchors = (predictions[name] for name in (RPN_BOXES, RPN_CLASSES, ANCHORS))
        found = propose(self.config, CODER, encodings, logits, anchors, size)
        scale = tf.tile(size, [1, 2])[:, None]
        all_scores = tf.nn.softmax(logits)
        shown = tf.sequence_mask(found.count, tf.shape(found.scores)[1], tf.float32)
        return Detections(
            boxes=found.boxes / scale,
            scores=found.scores,
            classes=tf.zeros_like(found.scores),
            count=found.count,
            anchor_indices=found.anchor_indices,
            multiclass_scores=tf.gather(all_scores, found.anchor_indices, batch_dims=1) * shown[..., None],
            raw_boxes=decode(CODER, encodings, anchors[None]) / scale,
            raw_scores=all_scores,
        )

    def _anchors(self, features: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        shape, size = height_and_width(features), height_and_width(images)
        return generate_anchors(self.config.first_stage_anchor_generator, [shape], *size)

    def _proposal_targets(self, predictions: Predictions, truth: GroundTruth) -> Targets:
        """What each anchor should predict: an object, whatever its class."""
        return assign_targets(
            PROPOSAL_MATCHER,
            CODER,
            predictions[ANCHORS],
            truth.boxes * tf.tile(predictions[IMAGE_SIZE], [2]),
            tf.zeros_like(truth.classes),
            truth.weights,
            OBJECTNESS,
        )

    def _detection_targets(self, proposals: tf.Tensor, size: tf.Tensor, truth: GroundTruth) -> Targets:
        """What should be told of each proposal `(batch, n, 4)`."""
        return assign_targets(
            DETECTION_MATCHER,
            CODER,
            proposals,
            truth.boxes * tf.tile(size, [2]),
            truth.classes,
            truth.weights,
            ClassEncoding(self.num_classes, background_as_zeros=False),
        )

    def _sampled_anchors(self, predictions: Predictions, truth: GroundTruth, seed: tf.Tensor | None) -> tf.Tensor:
        targets = self._proposal_targets(predictions, truth)
        return balanced_sample(
            targets.class_weights != 0,
            targets.columns > 0,
            self.config.first_stage_minibatch_size,
            self.config.first_stage_positive_balance_fraction,
            static=self.config.use_static_balanced_label_sampler and self.config.use_static_shapes,
            seed=seed,
        )

    def sampled(
        self, proposals: Proposals, size: tf.Tensor, truth: GroundTruth, seed: tf.Tensor | None
    ) -> tuple[Proposals, tf.Tensor]:
        """As many proposals as train the second stage, and which of all they are, `(batch, proposals)` bool."""
        _check_sample(self.config)
        config, static = self.config, self.config.use_static_shapes
        targets = self._detection_targets(proposals.boxes, size, truth)
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

    def _proposal_losses(self, predictions: Predictions, truth: GroundTruth) -> dict[str, tf.Tensor]:
        """Multi-task loss of the first stage: equations 1 and 2 of the paper, for each image its own mean."""
        targets = self._proposal_targets(predictions, truth)
        chosen = predictions.get(RPN_SAMPLED)
        sampled = tf.cast(self._sampled_anchors(predictions, truth, None) if chosen is None else chosen, tf.float32)
        localization = smooth_l1_loss(predictions[RPN_BOXES], targets.boxes, SMOOTH_L1_DELTA)
        object_or_not = tf.one_hot(tf.maximum(targets.columns, 0), 2)
        objectness = softmax_cross_entropy(predictions[RPN_CLASSES], object_or_not)
        count = tf.maximum(tf.reduce_sum(sampled, axis=1), 1.0)

        def mean(losses: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(tf.reduce_sum(losses * sampled, axis=1) / count)

        return {
            "Loss/RPNLoss/localization_loss": self.config.first_stage_localization_loss_weight
            * mean(localization * targets.box_weights),
            "Loss/RPNLoss/objectness_loss": self.config.first_stage_objectness_loss_weight * mean(objectness),
        }

    def _detection_losses(self, predictions: Predictions, truth: GroundTruth) -> dict[str, tf.Tensor]:
        """Multi-task loss of the second stage, a mean over each image's proposals."""
        proposals = predictions[PROPOSALS]
        batch, count = tf.shape(proposals)[0], tf.shape(proposals)[1]
        targets = self._detection_targets(proposals, predictions[IMAGE_SIZE], truth)
        logits = tf.reshape(predictions[CLASSES], [batch, count, self.num_classes + 1])
        loss = self.config.second_stage_classification_loss or SOFTMAX
        classification = classification_loss(loss, logits, targets.columns, targets.class_weights)
        encodings = self._encodings_of_targets(predictions[BOXES], targets)
        localization = smooth_l1_loss(encodings, targets.boxes, SMOOTH_L1_DELTA) * targets.box_weights
        real = tf.sequence_mask(predictions[NUM_PROPOSALS], count, tf.float32)
        share = real / tf.cast(batch * tf.maximum(predictions[NUM_PROPOSALS], 1), tf.float32)[:, None]
        if self.config.hard_example_miner:
            share *= self._mined(predictions, classification * share, localization * share, targets)
        return {
            "Loss/BoxClassifierLoss/localization_loss": self.config.second_stage_localization_loss_weight
            * tf.reduce_sum(localization * share),
            "Loss/BoxClassifierLoss/classification_loss": self.config.second_stage_classification_loss_weight
            * tf.reduce_sum(classification * share),
        }

    def _mined(
        self, predictions: Predictions, classification: tf.Tensor, localization: tf.Tensor, targets: Targets
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
        count = predictions[NUM_PROPOSALS][0]
        arrays = (classification, localization, predictions[PROPOSALS], targets.match)
        mined = mine_hard_examples(loss, *(array[:1, :count] for array in arrays)).mined
        shape = tf.shape(classification)
        return tf.pad(tf.cast(mined, tf.float32), [[0, shape[0] - 1], [0, shape[1] - count]])

    def _encodings_of_targets(self, encodings: tf.Tensor, targets: Targets) -> tf.Tensor:
        """Each proposal's encodings `(batch, n, 4)`: the only ones, or those of the class it should have."""
        shape = tf.shape(targets.match)
        encodings = tf.reshape(encodings, [shape[0], shape[1], *encodings.shape[1:]])
        if encodings.shape[2] == 1:
            return encodings[:, :, 0]
        with_background = tf.pad(encodings, [[0, 0], [0, 0], [1, 0], [0, 0]])
        return tf.gather(with_background, tf.maximum(targets.columns, 0), batch_dims=2)

    def inner_arrays(self, predictions: Predictions, truth: GroundTruth | None = None) -> dict[str, tf.Tensor]:
        two_stages = self.config.number_of_stages > 1
        if truth is None:
            anchors = predictions[ANCHORS]
            arrays = {
                "rpn_anchors_absolute": anchors,
                "rpn_anchors": anchors / tf.tile(predictions[IMAGE_SIZE], [2]),
            }
            if two_stages:
                features = predictions[BOX_FEATURES]
                arrays["box_classifier_features_shape"] = tf.shape(features)
                arrays["box_classifier_features_pooled_stats"] = tf.stack(
                    [
                        tf.reduce_mean(features),
                        tf.math.reduce_std(features),
                        tf.reduce_min(features),
                        tf.reduce_max(features),
                    ]
                )
            return arrays
        targets = self._proposal_targets(predictions, truth)
        arrays = {
            **_named("rpn", targets, tf.cast(targets.columns > 0, tf.float32)[..., None]),
            "rpn_sampled": predictions[RPN_SAMPLED],
        }
        if two_stages:
            targets = self._detection_targets(predictions[PROPOSALS], predictions[IMAGE_SIZE], truth)
            arrays |= _named("second_stage", targets, tf.one_hot(targets.columns, self.num_classes + 1))
            if SECOND_STAGE_SAMPLED in predictions:
                arrays["second_stage_sampled"] = predictions[SECOND_STAGE_SAMPLED]
        return arrays


def _float32(outputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Crops, boxes and losses are computed in 32 bits whatever the layers' precision."""
    return [tf.cast(each, tf.float32) for each in outputs]


def _first_network(config: FasterRcnn, size: tuple[int | None, int | None]) -> keras.Model:
    """From images to the map to crop from, box encodings and objectness of every anchor."""
    images = keras.Input((*size, 3), name="images")
    features = _to_level_4(config)(images)
    (per_cell,) = anchors_per_cell(config.first_stage_anchor_generator, 1)
    return keras.Model(images, [features, *proposal_head(features, config, per_cell)], name="first_stage")


def _second_network(config: FasterRcnn, channels: int) -> keras.Model:
    """From crops to their features, box encodings and class logits."""
    crops = keras.Input((config.initial_crop_size, config.initial_crop_size, channels), name="crops")
    pooled = keras.layers.MaxPooling2D(config.maxpool_kernel_size, strides=config.maxpool_stride)(crops)
    features = _from_level_4(config)(pooled)
    heads = box_classifier(features, _box_predictor(config), config.num_classes)
    return keras.Model(crops, [features, *heads], name="second_stage")


def _to_level_4(config: FasterRcnn) -> Callable[[tf.Tensor], tf.Tensor]:
    kind, layers = config.feature_extractor.type, _layers(config)
    if kind == INCEPTION:
        return lambda images: inception_resnet_v2_to_block17(images, layers, FIRST_STAGE)
    return lambda images: resnet_to_conv4(images, layers, BLOCKS[RESNETS[kind]], FIRST_STAGE)


def _from_level_4(config: FasterRcnn) -> Callable[[tf.Tensor], tf.Tensor]:
    kind, layers = config.feature_extractor.type, _layers(config)
    if kind == INCEPTION:
        return lambda crops: inception_resnet_v2_from_block17(crops, layers, SECOND_STAGE)
    return lambda crops: resnet_conv5(crops, layers, BLOCKS[RESNETS[kind]], SECOND_STAGE)


def _layers(config: FasterRcnn) -> Layers:
    extractor = config.feature_extractor
    hyperparams = inception_hyperparams() if extractor.type == INCEPTION else resnet_hyperparams(0.0)
    return Layers(hyperparams, freeze_batchnorm=not extractor.batch_norm_trainable)


def _box_predictor(config: FasterRcnn) -> MaskRcnnBoxPredictor:
    assert config.second_stage_box_predictor is not None  # checked where there is a second stage
    return config.second_stage_box_predictor.mask_rcnn_box_predictor


def _post_processing(config: FasterRcnn) -> PostProcessing:
    assert config.second_stage_post_processing is not None  # checked where there is a second stage
    return config.second_stage_post_processing


def _named(stage: str, targets: Targets, classes: tf.Tensor) -> dict[str, tf.Tensor]:
    return {
        f"{stage}_cls_targets": classes,
        f"{stage}_cls_weights": targets.class_weights[..., None] * tf.ones_like(classes),
        f"{stage}_reg_targets": targets.boxes,
        f"{stage}_reg_weights": targets.box_weights,
        f"{stage}_match": targets.match,
    }


def _check(config: FasterRcnn) -> None:
    place = "model.faster_rcnn"
    grid = config.first_stage_anchor_generator.grid_anchor_generator
    if grid is None:
        raise ConfigError(f"{place}.first_stage_anchor_generator: only grid_anchor_generator is supported; use that")
    if not grid.scales or not grid.aspect_ratios:
        raise ConfigError(
            f"{place}.first_stage_anchor_generator.grid_anchor_generator: scales and aspect_ratios need a value each, "
            "or there are no anchors; set them"
        )
    if config.number_of_stages == 1:
        return
    for name in ("second_stage_box_predictor", "second_stage_post_processing"):
        if getattr(config, name) is None:
            raise ConfigError(f"{place}: {name} is not set; set it, or number_of_stages: 1")
    for name in ("initial_crop_size", "maxpool_kernel_size", "maxpool_stride"):
        if getattr(config, name) < 1:
            raise ConfigError(f"{place}: {name} is {getattr(config, name)}, but crops need at least 1; set it")
    if config.maxpool_kernel_size > config.initial_crop_size:
        raise ConfigError(
            f"{place}: maxpool_kernel_size is {config.maxpool_kernel_size}, but crops have initial_crop_size, "
            f"{config.initial_crop_size}; lower it"
        )


def _check_sample(config: FasterRcnn) -> None:
    """As in the API, only training asks for it."""
    if config.second_stage_batch_size > config.first_stage_max_proposals:
        raise ConfigError(
            f"model.faster_rcnn: second_stage_batch_size is {config.second_stage_batch_size}, more than the "
            f"{config.first_stage_max_proposals} of first_stage_max_proposals; lower it"
        )
