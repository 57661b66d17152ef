# SPDX-License-Identifier: Apache-2.0
"""Single-shot detectors: the sentence that joins backbone, pyramid, heads, anchors, losses and suppression.

OD API `ssd_meta_arch`.
"""

import copy
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise

import keras
import tensorflow as tf

from training_src.models.anchors import anchors_per_cell, generate_anchors
from training_src.models.box_coder import decode
from training_src.models.config.image_resizer import ImageResizer
from training_src.models.config.ssd import Ssd
from training_src.models.detector import Detector, GroundTruth, Inputs, Predictions
from training_src.models.errors import ConfigError
from training_src.models.feature_extractors.feature_pyramid import TOP_LEVEL
from training_src.models.feature_extractors.ssd import EXTRACTORS
from training_src.models.hard_example_miner import HardExamples, mine_hard_examples
from training_src.models.heads import BOXES, CLASSES, heads
from training_src.models.layers import pad_to_multiple
from training_src.models.losses import classification_loss, localization_loss
from training_src.models.matching import ClassEncoding, Targets, assign_targets
from training_src.models.non_max_suppression import Detections, clip_windows, convert_scores, non_max_suppression
from training_src.models.preprocessing import height_and_width, mask_padding, resized_shape
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
        _check(config)
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
        _check(config)
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


def _check(config: Ssd) -> None:
    loss = config.loss
    if loss.hard_example_miner and loss.classification_loss.weighted_sigmoid_focal:
        raise ConfigError(
            "model.ssd.loss: hard_example_miner does not go with weighted_sigmoid_focal; remove one of them"
        )
    if not config.add_background_class and not config.encode_background_as_zeros:
        raise ConfigError(
            "model.ssd: add_background_class is false, so encode_background_as_zeros must be true; set it"
        )
    multiscale = config.anchor_generator.multiscale_anchor_generator
    if multiscale and not multiscale.aspect_ratios:
        raise ConfigError("model.ssd.anchor_generator.multiscale_anchor_generator: aspect_ratios is not set; set it")
    if config.feature_extractor.type.endswith(("_fpn_keras", "_bifpn_keras")):
        _check_input_of_pyramid(config)
    if config.feature_extractor.type.endswith("_fpn_keras"):
        _check_pyramid(config)
    least = 129 if "resnet" in config.feature_extractor.type else 33
    size = resized_shape(config.image_resizer)
    if size is not None and min(size) < least:
        raise ConfigError(
            f"model.ssd.image_resizer: {size[0]}x{size[1]} is too small, "
            f"{config.feature_extractor.type} needs at least {least} pixels"
        )


def _check_input_of_pyramid(config: Ssd) -> None:
    """Images of any size: their maps would clash at the first one whose sides do not halve often enough."""
    extractor, resizer = config.feature_extractor, config.image_resizer
    multiple = 2 ** (extractor.bifpn.max_level if extractor.bifpn else min(extractor.fpn.max_level, TOP_LEVEL))
    padded = resizer.pad_to_multiple_resizer.multiple if resizer.pad_to_multiple_resizer else 1
    if resized_shape(resizer) is not None or not (extractor.pad_to_multiple % multiple and padded % multiple):
        return
    name = next(item.name for item in fields(resizer) if getattr(resizer, item.name))
    raise ConfigError(
        f"model.ssd.image_resizer: {name} leaves images of different sizes, and {extractor.type} joins maps of which "
        f"each must be twice the next; take fixed_shape_resizer or pad_to_max_dimension: true, or set the feature "
        f"extractor's pad_to_multiple: {multiple}"
    )


def _check_pyramid(config: Ssd) -> None:
    levels, anchors = config.feature_extractor.fpn, config.anchor_generator.multiscale_anchor_generator
    if anchors and (levels.min_level, levels.max_level) != (anchors.min_level, anchors.max_level):
        raise ConfigError(
            f"model.ssd: fpn has levels {levels.min_level} to {levels.max_level}, but the anchor generator "
            f"{anchors.min_level} to {anchors.max_level}; give both the same"
        )
    if not 2 <= levels.min_level <= 5 or levels.max_level < levels.min_level:
        raise ConfigError(
            f"model.ssd.feature_extractor.fpn: levels {levels.min_level} to {levels.max_level} do not exist"
        )
    height, width = resized_shape(config.image_resizer) or (0, 0)
    multiple = config.feature_extractor.pad_to_multiple
    for side in (height, width):
        padded = -(-side // multiple) * multiple
        sizes = [-(-padded // 2**level) for level in range(levels.min_level, min(levels.max_level, 5) + 1)]
        if any(fine != 2 * coarse for fine, coarse in pairwise(sizes)):
            raise ConfigError(
                f"model.ssd.image_resizer: {height}x{width} gives maps of {', '.join(map(str, sizes))} pixels, but "
                "each must be twice the next; use multiples of 32, or set pad_to_multiple"
            )
