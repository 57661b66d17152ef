# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's suppression in OpenVINO's operations, where these can do what the config asks for.

OpenVINO's NonMaxSuppression works class by class and lowers scores otherwise than TensorFlow's.
"""

from collections.abc import Sequence

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.frontend import NodeContext
from openvino.frontend.tensorflow import ConversionExtension

from training_src.models.config.post_processing import BatchNonMaxSuppression

BOXES, SCORES, WINDOW, ALL_SCORES = "boxes", "scores", "window", "all_scores"
"""What a network says before suppression; `inference_src/runtimes/openvino.py` reads outputs of these names."""


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


EXTENSION = ConversionExtension("CombinedNonMaxSuppression", _combined_suppression)
"""To be given to the converter."""


def within_openvino(config: BatchNonMaxSuppression) -> bool:
    """Whether OpenVINO's suppression finds what TensorFlow's does."""
    return not config.use_class_agnostic_nms and config.soft_nms_sigma == 0


def suppressed(scored: ov.Model, config: BatchNonMaxSuppression, class_ids: Sequence[int]) -> ov.Model:
    """The SavedModel's outputs, but for the raw ones.

    Args:
        scored: With outputs `BOXES` `(1, n, 4)`, `SCORES` `(1, classes, n)`, or `(classes, n, 4)` and `(classes, 1, n)`
            where each class has its own boxes, `WINDOW` `(1, 4)`, and `ALL_SCORES` `(1, n, columns)`.
        config: For which `within_openvino` is true.
        class_ids: The label map's ids, ascending.
    """
    boxes, scores, window, all_scores = (
        scored.output(name).get_node().input_value(0) for name in (BOXES, SCORES, WINDOW, ALL_SCORES)
    )
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
    anchors = _rows(_column(rows, 2), best.output(1))
    outputs = {
        "detection_boxes": ops.multiply(_rows(clipped, best.output(1)), ops.unsqueeze(mask, _axis(1))),
        "detection_scores": best.output(0),
        "detection_classes": ops.multiply(_rows(ids, best.output(1)), mask),
        "num_detections": ops.reduce_sum(mask, _axis(0)),
        "detection_anchor_indices": ops.multiply(ops.convert(anchors, "f32"), mask),
        "detection_multiclass_scores": ops.multiply(
            _rows(ops.squeeze(all_scores, _axis(0)), anchors.output(0)), ops.unsqueeze(mask, _axis(1))
        ),
    }
    results = [named(ops.unsqueeze(node, _axis(0)), name) for name, node in outputs.items()]
    return ov.Model(results, scored.get_parameters(), "detector")


def named(node: ov.Node, name: str) -> ov.Node:
    """A model's output of this name."""
    result = ops.result(node, name=name)
    result.output(0).get_tensor().set_names({name})
    return result


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
