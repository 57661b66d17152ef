# SPDX-License-Identifier: Apache-2.0
"""Single-shot detectors: the sentence that joins backbone, pyramid, heads, anchors, losses and suppression.

OD API `ssd_meta_arch`.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import keras
import tensorflow as tf

from training_src.models.anchors import anchors_per_cell, generate_anchors
from training_src.models.box_coder import decode
from training_src.models.config.image_resizer import ImageResizer, resized_shape
from training_src.models.config.ssd import Ssd
from training_src.models.detector import Detector, GroundTruth, Inputs, Predictions
from training_src.models.errors import ConfigError
from training_src.models.feature_extractors.ssd import EXTRACTORS
from training_src.models.hard_example_miner import HardExamples, mine_hard_examples
from training_src.models.heads import BOXES, CLASSES, heads
from training_src.models.layers import pad_to_multiple
from training_src.models.losses import classification_loss, localization_loss
from training_src.models.matching import ClassEncoding, Targets, assign_targets
from training_src.models.non_max_suppression import Detections, clip_windows, convert_scores, non_max_suppression
from training_src.models.preprocessing import height_and_width, mask_padding
from training_src.models.replicas import sum_over_replicas

ANCHORS = "anchors"
FEATURE_MAP = "feature_map_"
CODE_SIZE = 4


class SsdDetector(Detector):
    """A single-shot detector.

    Args:
        config: The config's `model.ssd`.

    Raises:
        ConfigError: If parts of the config contradict each other, or the input's size.
    """

    def __init__(self, config: Ssd) -> None:
        config.check()
        self.config = config
        self.num_classes = config.num_classes
        self.resizer = config.image_resizer
        self.networks = (_network(config),)
        self._num_maps = sum(name.startswith(FEATURE_MAP) for name in self.networks[0].output)
        self._encoding = ClassEncoding(
            num_classes=config.num_classes,
            background_column=config.add_background_class,
            background_as_zeros=config.encode_background_as_zeros,
            negative_weight=config.negative_class_weight,
        )

    def resized(self, resizer: ImageResizer) -> "SsdDetector":
        """The same detector, with the same variables, for images of another size.

        Raises:
            ConfigError: If the architecture cannot take that size.
        """
        config = replace(self.config, image_resizer=resizer)
        config.check()
        detector = copy.copy(self)
        detector.config, detector.resizer = config, resizer
        detector.networks = (_resized(self.networks[0], *(resized_shape(resizer) or (None, None))),)
        return detector

    def normalise(self, pixels: tf.Tensor, true_shapes: tf.Tensor) -> Inputs:
        scaled = EXTRACTORS[self.config.feature_extractor.type].scale(pixels)
        return Inputs(mask_padding(self.resizer, scaled, true_shapes), true_shapes)

    def predict(
        self,
        inputs: Inputs,
        training: bool,
        truth: GroundTruth | None = None,  # noqa: ARG002
        seed: tf.Tensor | None = None,  # noqa: ARG002
    ) -> Predictions:
        outputs = self.networks[0](inputs.images, training=training)
        # Losses and boxes are computed in 32 bits whatever the layers' precision.
        predictions: Predictions = {name: tf.cast(output, tf.float32) for name, output in outputs.items()}
        shapes = [height_and_width(predictions[f"{FEATURE_MAP}{level}"]) for level in range(self._num_maps)]
        anchors = generate_anchors(self.config.anchor_generator, shapes, *height_and_width(inputs.images))
        return {**predictions, ANCHORS: anchors, "preprocessed_shape": tf.shape(inputs.images)}

    def targets(self, predictions: Predictions, truth: GroundTruth) -> Targets:
        """What each anchor should predict."""
        matcher, coder = self.config.matcher.argmax_matcher, self.config.box_coder.faster_rcnn_box_coder
        return assign_targets(matcher, coder, predictions[ANCHORS], *truth, encoding=self._encoding)

    def losses(self, predictions: Predictions, truth: GroundTruth) -> dict[str, tf.Tensor]:
        targets = self.targets(predictions, truth)
        classification, localization = self._anchorwise_losses(predictions, targets)
        if self.config.loss.hard_example_miner:
            mined = tf.cast(self._mined(predictions, targets, classification, localization).mined, tf.float32)
            classification, localization = classification * mined, localization * mined
        matches = tf.maximum(sum_over_replicas(tf.reduce_sum(targets.box_weights)), 1.0)
        normaliser = matches if self.config.normalize_loss_by_num_matches else tf.ones([])
        code_size = CODE_SIZE if self.config.normalize_loc_loss_by_codesize else 1
        loss = self.config.loss
        return {
            "Loss/classification_loss": tf.reduce_sum(classification) * (loss.classification_weight / normaliser),
            "Loss/localization_loss": tf.reduce_sum(localization)
            * (loss.localization_weight / (normaliser * code_size)),
        }

    def decoded_boxes(self, predictions: Predictions) -> tf.Tensor:
        """The boxes that were predicted: `(batch, anchors, 4)`, normalised to the padded image, not clipped."""
        coder = self.config.box_coder.faster_rcnn_box_coder
        return decode(coder, predictions[BOXES], predictions[ANCHORS][None])

    def scores(self, predictions: Predictions) -> tf.Tensor:
        """Of every column: `(batch, anchors, columns)`, the background's included if there is one."""
        return convert_scores(self.config.post_processing, predictions[CLASSES])

    def of_classes(self, scores: tf.Tensor, class_ids: Sequence[int] = ()) -> tf.Tensor:
        """The columns of `scores` that count: of these label-map ids, or all but the background's."""
        first = 1 if self.config.add_background_class else 0
        columns = [number - 1 + first for number in class_ids or range(1, self.num_classes + 1)]
        if columns == [*range(columns[0], columns[-1] + 1)]:
            return scores[..., columns[0] : columns[-1] + 1]  # ten times as fast as a gather
        return tf.gather(scores, columns, axis=-1)

    def postprocess(
        self, predictions: Predictions, true_shapes: tf.Tensor, class_ids: Sequence[int] = ()
    ) -> Detections:
        boxes, scores = self.decoded_boxes(predictions), self.scores(predictions)
        kept = non_max_suppression(
            self.config.post_processing.batch_non_max_suppression,
            boxes[:, :, None],
            self.of_classes(scores, class_ids),
            clip_windows(true_shapes, predictions["preprocessed_shape"]),
        )
        return Detections.of(kept, scores, boxes, scores)

    def inner_arrays(self, predictions: Predictions, truth: GroundTruth | None = None) -> dict[str, tf.Tensor]:
        if truth is None:
            return {ANCHORS: predictions[ANCHORS]}
        targets = self.targets(predictions, truth)
        arrays = targets.arrays(tf.one_hot(targets.columns, self._encoding.columns))
        if not self.config.loss.hard_example_miner:
            return arrays
        classification, localization = self._anchorwise_losses(predictions, targets)
        mined = self._mined(predictions, targets, classification, localization)
        return {
            **arrays,
            "anchorwise_classification_loss": classification,
            "anchorwise_localization_loss": localization,
            "hard_mined": mined.mined,
            "hard_mined_before_ratio": mined.before_ratio,
            "hard_mined_counts": mined.counts,
        }

    def _anchorwise_losses(self, predictions: Predictions, targets: Targets) -> tuple[tf.Tensor, tf.Tensor]:
        loss = self.config.loss
        return (
            classification_loss(loss.classification_loss, predictions[CLASSES], targets.columns, targets.class_weights),
            localization_loss(loss.localization_loss, predictions[BOXES], targets.boxes, targets.box_weights),
        )

    def _mined(
        self, predictions: Predictions, targets: Targets, classification: tf.Tensor, localization: tf.Tensor
    ) -> HardExamples:
        boxes = self.decoded_boxes(predictions)
        return mine_hard_examples(self.config.loss, classification, localization, boxes, targets.match)


def _network(config: Ssd) -> keras.Model:
    """From images to box encodings, class logits, and the maps fed to the heads."""
    extractor = EXTRACTORS[config.feature_extractor.type]
    height, width = resized_shape(config.image_resizer) or (None, None)
    images = keras.Input((height, width, 3), name="images")
    padded = pad_to_multiple(images, config.feature_extractor.pad_to_multiple)
    maps, unused = extractor.maps(padded, config.feature_extractor, config.freeze_batchnorm)
    cells = anchors_per_cell(config.anchor_generator, len(maps))
    if len(cells) != len(maps):
        raise ConfigError(
            f"model.ssd: anchors are described for {len(cells)} maps, the feature extractor has {len(maps)}"
        )
    columns = config.num_classes + (1 if config.add_background_class else 0)
    boxes, classes = heads(maps, config.box_predictor, config.freeze_batchnorm, cells, columns)
    outputs = {BOXES: boxes, CLASSES: classes}
    outputs |= {f"{FEATURE_MAP}{level}": features for level, features in enumerate(maps)}
    outputs |= {f"unused_{index}": features for index, features in enumerate(unused)}
    return keras.Model(images, outputs, name="ssd")


def _resized(network: keras.Model, height: int | None, width: int | None) -> keras.Model:
    """The same layers for another size of images."""

    def layer(own: keras.layers.Layer) -> keras.layers.Layer:
        # It remembers how many anchors there were.
        return keras.layers.Reshape.from_config(own.get_config()) if isinstance(own, keras.layers.Reshape) else own

    images = keras.Input((height, width, 3), name="images")
    return keras.models.clone_model(network, input_tensors=images, clone_function=layer)
