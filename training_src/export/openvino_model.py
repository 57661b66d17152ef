# SPDX-License-Identifier: Apache-2.0
"""A detector as OpenVINO IR with the SavedModel's input and outputs, suppression included.

TensorFlow's combined suppression has no counterpart there, so the network is converted up to boxes and scores, and
OpenVINO's own NonMaxSuppression is put behind it. Faster R-CNN suppresses in its middle and cuts crops there, so it
has no such form.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

import numpy as np
import openvino as ov  # type: ignore[import-untyped]
import tensorflow as tf  # type: ignore[import-untyped]
from openvino import opset13 as ops

from training_src.models.config.post_processing import BatchNonMaxSuppression
from training_src.models.detector import Detector
from training_src.models.non_max_suppression import clip_windows
from training_src.models.ssd import SsdDetector


def is_convertible(detector: Detector) -> TypeGuard[SsdDetector]:
    """Whether a detector can be given this form."""
    if not isinstance(detector, SsdDetector):
        return False
    suppression = detector.config.post_processing.batch_non_max_suppression
    return not suppression.use_class_agnostic_nms and suppression.soft_nms_sigma == 0


def save_openvino(detector: SsdDetector, class_ids: Sequence[int], path: Path) -> None:
    """Write `model.xml` and `model.bin`, weights in float32.

    Args:
        detector: With the weights to export.
        class_ids: The label map's ids; no other class is ever detected.
        path: Of the .xml file.
    """
    scored = _scored(detector, sorted(class_ids))
    suppression = detector.config.post_processing.batch_non_max_suppression
    model = _with_suppression(scored, suppression, sorted(class_ids))
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, str(path), compress_to_fp16=False)


def convert(function: tf.types.experimental.ConcreteFunction) -> ov.Model:
    """Convert without a word to the outside: the converter reports its use unless it sees that it runs in CI."""
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        return ov.convert_model(function)
    finally:
        del os.environ["CI"]
        if before is not None:
            os.environ["CI"] = before


def _scored(detector: SsdDetector, class_ids: Sequence[int]) -> ov.Model:
    """From a uint8 image to boxes `(1, anchors, 4)`, scores `(1, classes, anchors)` and the true window `(1, 4)`."""

    def score(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = detector.preprocess(input_tensor)
        predictions = detector.predict(inputs, training=False)
        scores = tf.gather(detector.scores(predictions), detector.class_columns(class_ids), axis=-1)
        return {
            "boxes": detector.decoded_boxes(predictions),
            "scores": tf.linalg.matrix_transpose(scores),
            "window": clip_windows(inputs.true_shapes, tf.shape(inputs.images)),
        }

    signature = tf.function(score, autograph=False).get_concrete_function(
        tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")
    )
    return convert(signature)


def _with_suppression(scored: ov.Model, config: BatchNonMaxSuppression, class_ids: Sequence[int]) -> ov.Model:
    boxes, scores, window = (scored.output(name).get_node().input_value(0) for name in ("boxes", "scores", "window"))
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
    # Rows are batch, class, anchor. As many rows of zeros behind them make sure that there are enough.
    padding = ops.constant(np.zeros((total, 3), np.int64))
    rows = ops.concat([selected.output(0), padding], 0)
    found_scores = _column(ops.concat([selected.output(1), ops.convert(padding, "f32")], 0), 2)
    found_boxes = ops.gather(ops.squeeze(boxes, ops.constant([0])), _column(rows, 2), ops.constant(0))
    clipped = _clipped(found_boxes, window, config.change_coordinate_frame)
    best = ops.topk(
        ops.select(_has_area(clipped), found_scores, ops.constant(np.float32(0))),
        ops.constant(np.int64(total)),
        axis=0,
        mode="max",
        sort="value",
        stable=True,
    )
    shown = ops.greater(best.output(0), ops.constant(np.float32(0)))
    mask = ops.convert(shown, "f32")
    ids = ops.gather(ops.constant(np.array(class_ids, np.float32)), _column(rows, 1), ops.constant(0))
    outputs = {
        "detection_boxes": ops.multiply(_rows(clipped, best.output(1)), ops.unsqueeze(mask, ops.constant([1]))),
        "detection_scores": best.output(0),
        "detection_classes": ops.multiply(_rows(ids, best.output(1)), mask),
        "num_detections": ops.reduce_sum(mask, ops.constant([0])),
    }
    results = [_named(ops.unsqueeze(node, ops.constant([0])), name) for name, node in outputs.items()]
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
    zero = ops.constant(np.float32(0))
    return ops.logical_and(ops.greater(height, zero), ops.greater(width, zero))


def _rows(array: ov.Node, index: ov.Output) -> ov.Node:
    return ops.gather(array, index, ops.constant(0))


def _column(rows: ov.Node, index: int) -> ov.Node:
    return ops.gather(rows, ops.constant(index), ops.constant(1))


def _named(node: ov.Node, name: str) -> ov.Node:
    result = ops.result(node, name=name)
    result.output(0).get_tensor().set_names({name})
    return result
