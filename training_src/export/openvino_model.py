# SPDX-License-Identifier: Apache-2.0
"""A detector as OpenVINO IR with the SavedModel's input and outputs, suppression included.

TensorFlow's combined suppression has no counterpart there, so the network is converted up to boxes and scores, and
OpenVINO's own NonMaxSuppression is put behind it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov  # type: ignore[import-untyped]
import tensorflow as tf  # type: ignore[import-untyped]
from openvino import opset13 as ops

from training_src.models.config import BatchNonMaxSuppression
from training_src.models.detector import Detector
from training_src.models.preprocessing import preprocess


def save_openvino(detector: Detector, class_ids: Sequence[int], path: Path) -> None:
    """Write `model.xml` and `model.bin`, weights in float32.

    Args:
        detector: With the weights to export.
        class_ids: The label map's ids; no other class is ever detected.
        path: Of the .xml file.
    """
    scored = _convert(detector, sorted(class_ids))
    suppression = detector.config.post_processing.batch_non_max_suppression
    model = _with_suppression(scored, suppression, sorted(class_ids))
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, str(path), compress_to_fp16=False)


def _convert(detector: Detector, class_ids: Sequence[int]) -> ov.Model:
    """From a uint8 image to boxes `(1, anchors, 4)` and scores `(1, classes, anchors)`."""

    def score(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        encodings, logits = detector.network(preprocess(input_tensor, detector.height, detector.width), training=False)
        boxes, scores = detector.scored_boxes(encodings, logits, class_ids)
        return {"boxes": boxes, "scores": tf.linalg.matrix_transpose(scores)}

    signature = tf.function(score, autograph=False).get_concrete_function(
        tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")
    )
    return ov.convert_model(signature)


def _with_suppression(scored: ov.Model, config: BatchNonMaxSuppression, class_ids: Sequence[int]) -> ov.Model:
    boxes, scores = (scored.output(name).get_node().input_value(0) for name in ("boxes", "scores"))
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
    # Rows are batch, class, anchor, best first; as many rows of zeros behind them make the number constant.
    padding = ops.constant(np.zeros((total, 3), np.int64))
    rows = _first(ops.concat([selected.output(0), padding], 0), total)
    best = _first(ops.concat([selected.output(1), ops.convert(padding, "f32")], 0), total)
    count = ops.minimum(ops.convert(selected.output(2), "f32"), ops.constant(np.array([total], np.float32)))
    present = ops.convert(
        ops.less(
            ops.constant(np.arange(total, dtype=np.float32)), ops.broadcast(count, ops.constant(np.array([total])))
        ),
        "f32",
    )
    anchor = _column(rows, 2)
    found = ops.gather(ops.squeeze(boxes, ops.constant([0])), anchor, ops.constant(0))
    ids = ops.gather(ops.constant(np.array(class_ids, np.float32)), _column(rows, 1), ops.constant(0))
    outputs = {
        "detection_boxes": ops.multiply(found, ops.unsqueeze(present, ops.constant([1]))),
        "detection_scores": ops.multiply(_column(best, 2), present),
        "detection_classes": ops.multiply(ids, present),
    }
    results = [_named(ops.unsqueeze(node, ops.constant([0])), name) for name, node in outputs.items()]
    return ov.Model([*results, _named(count, "num_detections")], scored.get_parameters(), "detector")


def _first(rows: ov.Output, count: int) -> ov.Output:
    return ops.slice(rows, ops.constant([0]), ops.constant([count]), ops.constant([1]), ops.constant([0])).output(0)


def _column(rows: ov.Output, index: int) -> ov.Output:
    return ops.gather(rows, ops.constant(index), ops.constant(1)).output(0)


def _named(node: ov.Node, name: str) -> ov.Node:
    result = ops.result(node, name=name)
    result.output(0).get_tensor().set_names({name})
    return result
