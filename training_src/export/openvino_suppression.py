# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's suppression in OpenVINO's operations, where these can do what the config asks for.

OpenVINO's NonMaxSuppression works class by class and lowers scores otherwise than TensorFlow's.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.frontend import NodeContext
from openvino.frontend.tensorflow import ConversionExtension

from training_src.models.config.post_processing import BatchNonMaxSuppression

BOXES, SCORES, WINDOW, ALL_SCORES = "boxes", "scores", "window", "all_scores"
"""What a network says before suppression; `inference_src/runtimes/openvino.py` reads outputs of these names."""
NOTHING = -1.0
"""The score of what is no candidate."""
BEST_BOXES = 1024
"""So many of an image's best boxes are looked at first; they nearly always hold all its detections."""


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
        scored: With outputs `BOXES` `(1 or classes, n, 4)`, `SCORES` `(1, n, classes)`, `WINDOW` `(1, 4)`, and
            `ALL_SCORES` `(1, n, columns)`.
        config: For which `within_openvino` is true.
        class_ids: The label map's ids, ascending.
    """
    boxes, scores, window, all_scores = (
        scored.output(name).get_node().input_value(0) for name in (BOXES, SCORES, WINDOW, ALL_SCORES)
    )
    shape = boxes.get_partial_shape()
    many = shape.is_static and shape[0] == 1 and shape[1].get_length() > _best_boxes(config)
    kept = (_kept_of_best if many else _kept)(config, boxes, scores, window)
    mask = ops.convert(ops.greater(kept.scores, _zero()), "f32")
    ids = _rows(ops.constant(np.array(class_ids, np.float32)), kept.classes)
    outputs = {
        "detection_boxes": ops.multiply(kept.boxes, ops.unsqueeze(mask, _axis(1))),
        "detection_scores": kept.scores,
        "detection_classes": ops.multiply(ids, mask),
        "num_detections": ops.reduce_sum(mask, _axis(0)),
        "detection_anchor_indices": ops.multiply(ops.convert(kept.anchors, "f32"), mask),
        "detection_multiclass_scores": ops.multiply(
            _rows(ops.squeeze(all_scores, _axis(0)), kept.anchors), ops.unsqueeze(mask, _axis(1))
        ),
    }
    results = [named(ops.unsqueeze(node, _axis(0)), name) for name, node in outputs.items()]
    return ov.Model(results, scored.get_parameters(), "detector")


class _Kept(NamedTuple):
    """What is left of an image's boxes, best first; where scores are 0, the rest is without meaning.

    `boxes` is `(total, 4)`, clipped; `scores` is `(total,)`; `classes` and `anchors` are `(total,)` int64, from 0.
    """

    boxes: ov.Output
    scores: ov.Output
    classes: ov.Output
    anchors: ov.Output


def _kept(config: BatchNonMaxSuppression, boxes: ov.Output, scores: ov.Output, window: ov.Output) -> _Kept:
    """Of all boxes. OpenVINO takes images of classes; where each class has its own boxes, classes are the images."""
    total = config.max_total_detections
    by_class = ops.constant([0, 2, 1] if boxes.get_partial_shape()[0] == 1 else [2, 0, 1])
    selected = ops.non_max_suppression(
        boxes,
        ops.transpose(scores, by_class),
        ops.constant(np.int64(config.max_detections_per_class)),
        ops.constant(np.float32(config.iou_threshold)),
        ops.constant(np.float32(config.score_threshold)),
        box_encoding="corner",
        sort_result_descending=True,
        output_type="i64",
    )
    # Rows are image, class, box, the best scores first. Rows of zeros behind them make sure that there are enough.
    padding = ops.constant(np.zeros((total, 3), np.int64))
    rows = ops.concat([selected.output(0), padding], 0)
    found_scores = _column(ops.concat([selected.output(1), ops.convert(padding, "f32")], 0), 2)
    number = ops.gather(ops.shape_of(boxes), _axis(1), _axis(0))
    places = ops.add(ops.multiply(_column(rows, 0), number), _column(rows, 2))
    found_boxes = ops.gather(ops.reshape(boxes, ops.constant([-1, 4]), False), places, _axis(0))
    clipped = _clipped(found_boxes, window, config.change_coordinate_frame)
    # Of those that the window leaves an area to the first ones, and as many of the padding behind them.
    shown = ops.logical_or(_has_area(clipped), ops.equal(found_scores, _zero()))
    first = ops.slice(
        ops.squeeze(ops.non_zero(shown), _axis(0)), ops.constant([0]), ops.constant([total]), ops.constant([1])
    ).output(0)
    # One of the two is 0.
    classes = ops.add(_column(rows, 0), _column(rows, 1))
    kept = (clipped, found_scores, classes, _column(rows, 2))
    shapes = ([total, 4], [total], [total], [total])
    return _Kept(
        *(
            ops.reshape(_rows(each, first), ops.constant(shape), False).output(0)
            for each, shape in zip(kept, shapes, strict=True)
        )
    )


def _kept_of_best(config: BatchNonMaxSuppression, boxes: ov.Output, scores: ov.Output, window: ov.Output) -> _Kept:
    """The same, of the boxes with the best scores where these are sure to be enough: sorting all takes longer.

    They are where all `max_total_detections` are found among them and score higher than any box that was not looked
    at, or where none of those is above the threshold.
    """
    best = ops.topk(
        ops.reduce_max(scores, ops.constant([2])),
        ops.constant(np.int64(_best_boxes(config))),
        axis=1,
        mode="max",
        sort="index",  # so that of equal scores the lower anchor stays first
        index_element_type="i64",
    )
    anchors = ops.squeeze(best.output(1), _axis(0)).output(0)
    unseen = ops.reduce_min(best.output(0), ops.constant([0, 1]))
    few, of_few = (ops.gather(each, anchors, _axis(1)) for each in (boxes, scores))
    # What scores no higher than a box that was not looked at is of no use.
    of_few = ops.select(ops.greater(of_few, unseen), of_few, ops.constant(np.float32(NOTHING)))
    kept = _kept(config, few.output(0), of_few.output(0), window)
    kept = kept._replace(anchors=_rows(anchors, kept.anchors).output(0))
    last = ops.reduce_min(kept.scores, _axis(0))
    none = ops.less_equal(unseen, ops.constant(np.float32(config.score_threshold)))
    enough = ops.logical_or(ops.greater(last, unseen), none)
    return _unless(enough, kept, lambda *given: _kept(config, *given), (boxes, scores, window))


def _best_boxes(config: BatchNonMaxSuppression) -> int:
    return max(BEST_BOXES, 8 * config.max_total_detections)


def _unless(condition: ov.Node, kept: _Kept, other: Callable[..., _Kept], arguments: Sequence[ov.Output]) -> _Kept:
    """What is there, or, where the condition does not hold, what is then made of the arguments."""

    def parameters(outputs: Sequence[ov.Output]) -> list[ov.Node]:
        return [ops.parameter(each.get_partial_shape(), each.get_element_type()) for each in outputs]

    there, given = parameters(kept), parameters(arguments)
    found = [ops.result(each) for each in there]
    made = [ops.result(each) for each in other(*(each.output(0) for each in given))]
    branch = ops.if_op(condition.output(0))
    branch.set_then_body(ov.Model(found, there, "there"))
    branch.set_else_body(ov.Model(made, given, "made"))
    for value, parameter in zip(kept, there, strict=True):
        branch.set_input(value, parameter, None)
    for value, parameter in zip(arguments, given, strict=True):
        branch.set_input(value, None, parameter)
    return _Kept(*(branch.set_output(one, two) for one, two in zip(found, made, strict=True)))


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
