# SPDX-License-Identifier: Apache-2.0
"""A detector as OpenVINO IR with the SavedModel's input and outputs, suppression included.

TensorFlow's combined suppression has no counterpart there. So the network is converted up to boxes and scores, and
OpenVINO's own NonMaxSuppression is put behind it; between Faster R-CNN's stages it takes the other's place.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import tensorflow as tf
from openvino import opset13 as ops
from openvino.frontend import NodeContext
from openvino.frontend.tensorflow import ConversionExtension

from training_src.export.openvino_resizing import EXTENSIONS
from training_src.models.config.post_processing import BatchNonMaxSuppression
from training_src.models.detection_stage import NO_PROPOSAL, DetectionOutputs
from training_src.models.detector import Detector, Inputs, Predictions
from training_src.models.faster_rcnn import FasterRcnnDetector, outputs
from training_src.models.non_max_suppression import clip_windows
from training_src.models.ssd import SsdDetector

BOXES, SCORES, WINDOW = "boxes", "scores", "window"


def why_not_convertible(detector: Detector) -> str:
    """Why a detector cannot be given this form; empty where it can."""
    suppression = _suppression(detector)
    if suppression is None:
        return "a detector of one stage has proposals, no classes"
    if suppression.use_class_agnostic_nms:
        return "OpenVINO's suppression works class by class, the config has use_class_agnostic_nms"
    if suppression.soft_nms_sigma > 0:
        return f"OpenVINO lowers scores otherwise than the config's soft_nms_sigma {suppression.soft_nms_sigma:g} does"
    return ""


def save_openvino(detector: Detector, class_ids: Sequence[int], path: Path) -> None:
    """Write `model.xml` and `model.bin`, weights in float32.

    Args:
        detector: With the weights to export; a convertible one.
        class_ids: The label map's ids; no other class is ever detected.
        path: Of the .xml file.
    """
    suppression = _suppression(detector)
    assert suppression is not None
    model = _with_suppression(_scored(detector, sorted(class_ids)), suppression, sorted(class_ids))
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, str(path), compress_to_fp16=False)


def convert(function: tf.types.experimental.ConcreteFunction) -> ov.Model:
    """Convert without a word to the outside: the converter reports its use unless it sees that it runs in CI."""
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        suppression = ConversionExtension("CombinedNonMaxSuppression", _combined_suppression)
        model = ov.convert_model(function, extension=[suppression, *EXTENSIONS])
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
            data, rows = (ops.squeeze(node.input_value(place), _axis(0)) for place in (0, 1))
            gathered = ops.unsqueeze(ops.gather(data, rows, _axis(0)), _axis(0))
            node.output(0).replace(gathered.output(0))


def _suppression(detector: Detector) -> BatchNonMaxSuppression | None:
    if isinstance(detector, SsdDetector):
        return detector.config.post_processing.batch_non_max_suppression
    assert isinstance(detector, FasterRcnnDetector)
    second = detector.config.second_stage_post_processing
    return second.batch_non_max_suppression if second and detector.config.number_of_stages > 1 else None


def _scored(detector: Detector, class_ids: Sequence[int]) -> ov.Model:
    """From a uint8 image to boxes, scores and the true window, as the two functions below give them."""

    def score(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = _of_known_size(detector, detector.preprocess(input_tensor))
        predictions = detector.predict(inputs, training=False)
        if isinstance(detector, SsdDetector):
            return _of_anchors(detector, predictions, inputs, class_ids)
        assert isinstance(detector, FasterRcnnDetector)
        return _of_proposals(detector, predictions, inputs, class_ids)

    signature = tf.function(score, autograph=False).get_concrete_function(
        tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")
    )
    return convert(signature)


def _of_known_size(detector: Detector, inputs: Inputs) -> Inputs:
    """The same, in the size that the network takes: else OpenVINO plans it anew for each size of pictures."""
    if detector.input_size is None:
        return inputs
    return inputs._replace(images=tf.reshape(inputs.images, [1, *detector.input_size, 3]))


def _of_anchors(
    detector: SsdDetector, predictions: Predictions, inputs: Inputs, class_ids: Sequence[int]
) -> dict[str, tf.Tensor]:
    """Boxes `(1, anchors, 4)`, scores `(1, classes, anchors)`, window `(1, 4)`, all in shares of the padded image."""
    scores = detector.of_classes(detector.scores(predictions), class_ids)
    return {
        BOXES: detector.decoded_boxes(predictions),
        SCORES: tf.linalg.matrix_transpose(scores),
        WINDOW: clip_windows(inputs.true_shapes, tf.shape(inputs.images)),
    }


def _of_proposals(
    detector: FasterRcnnDetector, predictions: Predictions, inputs: Inputs, class_ids: Sequence[int]
) -> dict[str, tf.Tensor]:
    """The same in pixels.

    Where each class has its own boxes, classes take the place of the batch: `(classes, n, 4)` and `(classes, 1, n)`.
    """
    stage, found = detector.detection_stage, outputs(DetectionOutputs, predictions)
    assert stage is not None  # told by `why_not_convertible`
    boxes = stage.decoded_boxes(found)[0]
    real = tf.range(tf.shape(boxes)[0]) < found.num_proposals[0]
    scores = tf.transpose(tf.gather(stage.scores(found)[0], class_ids, axis=-1))
    scores = tf.where(real, scores, NO_PROPOSAL)
    shared = boxes.shape[1] == 1
    size = tf.cast(inputs.true_shapes[:, :2], tf.float32)
    return {
        BOXES: tf.transpose(boxes if shared else tf.gather(boxes, [each - 1 for each in class_ids], axis=1), [1, 0, 2]),
        SCORES: scores[None] if shared else scores[:, None],
        WINDOW: tf.concat([tf.zeros_like(size), size], axis=1),
    }


def _combined_suppression(node: NodeContext) -> list[ov.Output]:
    """What TensorFlow's CombinedNonMaxSuppression gives for one image, one class and boxes that are not to be clipped.

    That is how proposals are chosen. Boxes `(1, n, 1, 4)` and scores `(1, n, 1)` become boxes, scores and classes of
    the best, padded with zeros, and their number.
    """
    boxes, scores = ops.squeeze(node.get_input(0), _axis(2)), ops.squeeze(node.get_input(1), _axis(2))
    limit, total, overlap, threshold = (node.get_input(place) for place in (2, 3, 4, 5))
    selected = ops.non_max_suppression(
        boxes,
        ops.unsqueeze(scores, _axis(1)),
        ops.convert(limit, "i64"),
        overlap,
        threshold,
        box_encoding="corner",
        sort_result_descending=True,
        output_type="i64",
    )
    rows = _column(selected.output(0), 2)
    length = ops.reshape(ops.convert(total, "i64"), ops.constant([1]), False)
    kept_boxes, kept_scores = (_padded(ops.gather(array, rows, _axis(1)), length) for array in (boxes, scores))
    count = ops.reduce_sum(ops.convert(ops.greater(kept_scores, _zero()), "i32"), _axis(1))
    return [each.output(0) for each in (kept_boxes, kept_scores, ops.multiply(kept_scores, _zero()), count)]


def _padded(array: ov.Node, length: ov.Node) -> ov.Node:
    """`(1, n, ...)` as `(1, length, ...)`, zeros behind what there is."""
    rank = array.get_output_partial_shape(0).rank.get_length()
    behind = ops.concat([ops.constant([0]), length, *([ops.constant([0])] * (rank - 2))], 0)
    padded = ops.pad(array, ops.constant([0] * rank), behind, "constant", _zero())
    return ops.slice(padded, ops.constant([0]), length, ops.constant([1]), ops.constant([1]))


def _with_suppression(scored: ov.Model, config: BatchNonMaxSuppression, class_ids: Sequence[int]) -> ov.Model:
    boxes, scores, window = (scored.output(name).get_node().input_value(0) for name in (BOXES, SCORES, WINDOW))
    total = config.max_total_detections
    selected = ops.non_max_suppression(
        boxes,
        scores,
        ops.constant(np.int64(config.max_detections_per_class)),
        ops.constant(np.float32(config.iou_threshold)),
        ops.constant(np.float32(config.score_threshold)),
        box_encoding="corner",
        sort_result_descending=True,
        output_type="i64",
    )
    # Rows are batch, class, box. As many rows of zeros behind them make sure that there are enough.
    padding = ops.constant(np.zeros((total, 3), np.int64))
    rows = ops.concat([selected.output(0), padding], 0)
    found_scores = _column(ops.concat([selected.output(1), ops.convert(padding, "f32")], 0), 2)
    number = ops.gather(ops.shape_of(boxes), _axis(1), _axis(0))
    places = ops.add(ops.multiply(_column(rows, 0), number), _column(rows, 2))
    found_boxes = ops.gather(ops.reshape(boxes, ops.constant([-1, 4]), False), places, _axis(0))
    clipped = _clipped(found_boxes, window, config.change_coordinate_frame)
    best = ops.topk(
        ops.select(_has_area(clipped), found_scores, _zero()),
        ops.constant(np.int64(total)),
        axis=0,
        mode="max",
        sort="value",
        stable=True,
    )
    mask = ops.convert(ops.greater(best.output(0), _zero()), "f32")
    # Either the batch is one image, or each class is a batch of one class.
    ids = _rows(ops.constant(np.array(class_ids, np.float32)), ops.add(_column(rows, 0), _column(rows, 1)))
    outputs = {
        "detection_boxes": ops.multiply(_rows(clipped, best.output(1)), ops.unsqueeze(mask, _axis(1))),
        "detection_scores": best.output(0),
        "detection_classes": ops.multiply(_rows(ids, best.output(1)), mask),
        "num_detections": ops.reduce_sum(mask, _axis(0)),
    }
    results = [_named(ops.unsqueeze(node, _axis(0)), name) for name, node in outputs.items()]
    return ov.Model(results, scored.get_parameters(), "detector")


def _clipped(boxes: ov.Node, window: ov.Node, relative: bool) -> ov.Node:
    """Boxes cut at a window that begins at 0, and relative to it if so asked."""
    corner = ops.gather(window, ops.constant([2, 3, 2, 3]), ops.constant(1))
    if not relative:
        return ops.minimum(ops.relu(boxes), corner)
    return ops.clamp(ops.divide(boxes, corner), 0.0, 1.0)


def _has_area(boxes: ov.Node) -> ov.Node:
    height = ops.subtract(_column(boxes, 2), _column(boxes, 0))
    width = ops.subtract(_column(boxes, 3), _column(boxes, 1))
    return ops.logical_and(ops.greater(height, _zero()), ops.greater(width, _zero()))


def _rows(array: ov.Node, index: ov.Output) -> ov.Node:
    return ops.gather(array, index, _axis(0))


def _column(rows: ov.Node, index: int) -> ov.Node:
    return ops.gather(rows, ops.constant(index), _axis(1))


def _axis(number: int) -> ov.Node:
    return ops.constant(np.int64(number))


def _zero() -> ov.Node:
    return ops.constant(np.float32(0))


def _named(node: ov.Node, name: str) -> ov.Node:
    result = ops.result(node, name=name)
    result.output(0).get_tensor().set_names({name})
    return result
