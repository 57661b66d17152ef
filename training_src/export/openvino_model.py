# SPDX-License-Identifier: Apache-2.0
"""A detector as OpenVINO IR with the SavedModel's input and outputs, but for the raw ones.

TensorFlow's combined suppression has no counterpart there. So the network is converted up to boxes and scores, and
OpenVINO's own NonMaxSuppression is put behind it; between Faster R-CNN's stages it takes the other's place. Where it
cannot do what the config asks for, the file ends at boxes and scores, and who serves it does the rest.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openvino as ov
import tensorflow as tf
from openvino import opset13 as ops

from training_src.export import openvino_resizing, openvino_suppression
from training_src.export.openvino_suppression import (
    ALL_SCORES,
    BOXES,
    SCORES,
    WINDOW,
    named,
    suppressed,
    within_openvino,
)
from training_src.export.saved_model import detection_outputs
from training_src.models.config.image_resizer import ResizeMethod
from training_src.models.config.post_processing import BatchNonMaxSuppression
from training_src.models.detection_stage import NO_PROPOSAL, DetectionOutputs
from training_src.models.detector import Detector, Inputs, Predictions
from training_src.models.faster_rcnn import FasterRcnnDetector, outputs
from training_src.models.non_max_suppression import clip_windows
from training_src.models.preprocessing import resize_method
from training_src.models.ssd import SsdDetector

# Of TensorFlow's, these have no counterpart.
INCONVERTIBLE: tuple[ResizeMethod, ...] = ("BICUBIC", "AREA")
# What is left of one stage.
DETECTIONS = (
    "detection_boxes",
    "detection_scores",
    "detection_classes",
    "num_detections",
    "detection_anchor_indices",
    "detection_multiclass_scores",
)


def why_not_convertible(detector: Detector) -> str:
    """Why a detector cannot be given this form; empty where it can."""
    method = resize_method(detector.resizer)
    if method in INCONVERTIBLE:
        return f"OpenVINO cannot resize as TensorFlow does with the config's resize_method {method}"
    return ""


def suppression_behind(detector: Detector, class_ids: Sequence[int]) -> dict[str, Any] | None:
    """What is to be done with the boxes and scores at which the file ends; None where detections are its outputs.

    Args:
        detector: A convertible one.
        class_ids: The label map's ids.

    Returns:
        As `model.json` has it: the numbers of the config, and the ids of the classes that scores are of.
    """
    config = _suppression(detector)
    if config is None or within_openvino(config):
        return None
    return {
        "score_threshold": max(config.score_threshold, 0.0),  # no score is negative
        "iou_threshold": config.iou_threshold,
        "max_detections_per_class": config.max_detections_per_class,
        "max_total_detections": config.max_total_detections,
        "use_class_agnostic_nms": config.use_class_agnostic_nms,
        "soft_nms_sigma": config.soft_nms_sigma,
        "change_coordinate_frame": config.change_coordinate_frame,
        "class_ids": sorted(class_ids),
    }


def save_openvino(detector: Detector, class_ids: Sequence[int], path: Path) -> None:
    """Write `model.xml` and `model.bin`, weights in float32.

    Args:
        detector: With the weights to export; a convertible one.
        class_ids: The label map's ids; no other class is ever detected.
        path: Of the .xml file.
    """
    ids, config = sorted(class_ids), _suppression(detector)
    if config is None:
        model = _of_outputs(_proposed(detector, ids), DETECTIONS)
    elif within_openvino(config):
        model = suppressed(_scored(detector, ids), config, ids)
    else:
        model = _of_outputs(_scored(detector, ids), (BOXES, SCORES, WINDOW, ALL_SCORES))
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, str(path), compress_to_fp16=False)


def convert(function: tf.types.experimental.ConcreteFunction) -> ov.Model:
    """Convert without a word to the outside: the converter reports its use unless it sees that it runs in CI."""
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        model = ov.convert_model(function, extension=[openvino_suppression.EXTENSION, *openvino_resizing.EXTENSIONS])
    finally:
        del os.environ["CI"]
        if before is not None:
            os.environ["CI"] = before
    _unbatch_gathers(model)
    return model


def _unbatch_gathers(model: ov.Model) -> None:
    """Let each Gather take its rows from the one image: OpenVINO 2026.4 gathers by batch wrongly on CPUs."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Gather" and node.get_attributes()["batch_dims"] == 1:
            first = ops.constant(0)
            data, rows = (ops.squeeze(node.input_value(place), first) for place in (0, 1))
            gathered = ops.unsqueeze(ops.gather(data, rows, first), first)
            node.output(0).replace(gathered.output(0))


def _suppression(detector: Detector) -> BatchNonMaxSuppression | None:
    """What the config says of the last suppression; None where proposals are all that is asked for."""
    if isinstance(detector, SsdDetector):
        return detector.config.post_processing.batch_non_max_suppression
    assert isinstance(detector, FasterRcnnDetector)
    second = detector.config.second_stage_post_processing
    return second.batch_non_max_suppression if detector.config.number_of_stages > 1 else None


def _proposed(detector: Detector, class_ids: Sequence[int]) -> ov.Model:
    """From a uint8 image to the detections of a detector of one stage."""

    def propose(inputs: Inputs) -> dict[str, tf.Tensor]:
        found = detector.postprocess(detector.predict(inputs, training=False), inputs.true_shapes, class_ids)
        return detection_outputs(found, class_ids)

    return _converted(detector, propose)


def _scored(detector: Detector, class_ids: Sequence[int]) -> ov.Model:
    """From a uint8 image to boxes, scores and the true window, as the two functions below give them."""

    def score(inputs: Inputs) -> dict[str, tf.Tensor]:
        predictions = detector.predict(inputs, training=False)
        if isinstance(detector, SsdDetector):
            return _of_anchors(detector, predictions, inputs, class_ids)
        assert isinstance(detector, FasterRcnnDetector)
        return _of_proposals(detector, predictions, inputs, class_ids)

    return _converted(detector, score)


def _converted(detector: Detector, function: Callable[[Inputs], dict[str, tf.Tensor]]) -> ov.Model:
    def of_image(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        return function(_of_known_size(detector, detector.preprocess(input_tensor)))

    signature = tf.function(of_image, autograph=False).get_concrete_function(
        tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")
    )
    return convert(signature)


def _of_outputs(model: ov.Model, names: Sequence[str]) -> ov.Model:
    """The same model with these outputs only."""
    results = [named(model.output(name).get_node().input_value(0), name) for name in names]
    return ov.Model(results, model.get_parameters(), "detector")


def _of_known_size(detector: Detector, inputs: Inputs) -> Inputs:
    """The same, in the size that the network takes: else OpenVINO plans it anew for each size of pictures."""
    if detector.input_size is None:
        return inputs
    return inputs._replace(images=tf.reshape(inputs.images, [1, *detector.input_size, 3]))


def _of_anchors(
    detector: SsdDetector, predictions: Predictions, inputs: Inputs, class_ids: Sequence[int]
) -> dict[str, tf.Tensor]:
    """Boxes `(1, anchors, 4)`, scores `(1, anchors, classes)`, window `(1, 4)`, all in shares of the padded image.

    And the scores of all classes, `(1, anchors, columns)`.
    """
    scores = detector.scores(predictions)
    return {
        BOXES: detector.decoded_boxes(predictions),
        SCORES: detector.of_classes(scores, class_ids),
        WINDOW: clip_windows(inputs.true_shapes, tf.shape(inputs.images)),
        ALL_SCORES: scores,
    }


def _of_proposals(
    detector: FasterRcnnDetector, predictions: Predictions, inputs: Inputs, class_ids: Sequence[int]
) -> dict[str, tf.Tensor]:
    """The same in pixels; boxes are `(classes, proposals, 4)` where each class has its own."""
    stage, found = detector.detection_stage, outputs(DetectionOutputs, predictions)
    assert stage is not None  # or there would be no suppression
    boxes = stage.decoded_boxes(found)[0]
    real = tf.range(tf.shape(boxes)[0]) < found.num_proposals[0]
    all_scores = stage.scores(found)
    scores = tf.where(real[:, None], tf.gather(all_scores[0], class_ids, axis=-1), NO_PROPOSAL)
    shared = boxes.shape[1] == 1
    size = tf.cast(inputs.true_shapes[:, :2], tf.float32)
    return {
        BOXES: tf.transpose(boxes if shared else tf.gather(boxes, [each - 1 for each in class_ids], axis=1), [1, 0, 2]),
        SCORES: scores[None],
        WINDOW: tf.concat([tf.zeros_like(size), size], axis=1),
        ALL_SCORES: all_scores,
    }
