# SPDX-License-Identifier: Apache-2.0
"""Which anchor answers for which ground-truth box, and what it should therefore predict.

OD API `argmax_matcher` and `target_assigner`, for a whole padded batch at once.
"""

from typing import NamedTuple

import tensorflow as tf

from training_src.models.box_coder import encode
from training_src.models.config.matching import ArgMaxMatcher, FasterRcnnBoxCoder

NEGATIVE = -1
IGNORED = -2


class ClassEncoding(NamedTuple):
    """How a class is told to an anchor.

    Attributes:
        num_classes: Without the background.
        background_column: Whether column 0 stands for the background.
        background_as_zeros: Whether negatives have zeros in every column; else 1 in the background's.
        negative_weight: What the classification loss of a negative counts.
    """

    num_classes: int
    background_column: bool = True
    background_as_zeros: bool = True
    negative_weight: float = 1.0

    @property
    def columns(self) -> int:
        """How many class predictions an anchor has."""
        return self.num_classes + (1 if self.background_column else 0)


class Targets(NamedTuple):
    """What a batch's anchors should predict.

    Attributes:
        columns: `(batch, anchors)` int32: the class prediction that should be 1; -1 where all should be 0.
        class_weights: `(batch, anchors)`: the box's weight for matched anchors, `negative_class_weight` for negatives,
            0 for ignored ones.
        boxes: `(batch, anchors, 4)` encodings; zeros where nothing is matched.
        box_weights: `(batch, anchors)`: the box's weight for matched anchors, else 0.
        match: `(batch, anchors)` int32: index of the box, `NEGATIVE` or `IGNORED`.
    """

    columns: tf.Tensor
    class_weights: tf.Tensor
    boxes: tf.Tensor
    box_weights: tf.Tensor
    match: tf.Tensor

    def arrays(self, classes: tf.Tensor, prefix: str = "") -> dict[str, tf.Tensor]:
        """The same by the names of the reference's arrays; `classes` is `(batch, anchors, columns)`."""
        return {
            f"{prefix}cls_targets": classes,
            f"{prefix}cls_weights": self.class_weights[..., None] * tf.ones_like(classes),
            f"{prefix}reg_targets": self.boxes,
            f"{prefix}reg_weights": self.box_weights,
            f"{prefix}match": self.match,
        }


def assign_targets(
    matcher: ArgMaxMatcher,
    coder: FasterRcnnBoxCoder,
    anchors: tf.Tensor,
    boxes: tf.Tensor,
    classes: tf.Tensor,
    weights: tf.Tensor,
    encoding: ClassEncoding,
) -> Targets:
    """Match every anchor and say what it should predict.

    Args:
        matcher: Thresholds of overlap.
        coder: How boxes are encoded.
        anchors: `(anchors, 4)`, or each image's own, `(batch, anchors, 4)`.
        boxes: `(batch, boxes, 4)` ground truth: ymin, xmin, ymax, xmax normalised, padded with zero rows; an image
            without any box has at least one such row.
        classes: `(batch, boxes)` int32, from 0.
        weights: `(batch, boxes)` float32; 0 marks padding.
        encoding: What a class target looks like.
    """
    anchors = anchors if anchors.shape.rank == 3 else anchors[None]
    match = match_anchors(matcher, iou(boxes, anchors), weights > 0)
    row = tf.maximum(match, 0)
    positive = match >= 0
    zero = tf.zeros([], tf.float32)
    box_weights = tf.where(positive, tf.gather(weights, row, batch_dims=1), zero)
    matched_boxes = tf.gather(boxes, row, batch_dims=1)
    # Padding is of no class, not even the background's.
    columns = tf.where(weights > 0, classes + (1 if encoding.background_column else 0), -1)
    matched_columns = tf.gather(columns, row, batch_dims=1)
    return Targets(
        columns=tf.where(positive, matched_columns, -1 if encoding.background_as_zeros else 0),
        class_weights=tf.where(match == NEGATIVE, encoding.negative_weight, box_weights),
        boxes=tf.where(positive[..., None], encode(coder, matched_boxes, anchors), zero),
        box_weights=box_weights,
        match=match,
    )


def match_anchors(config: ArgMaxMatcher, similarity: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """The ground-truth row of each anchor: the most similar one, if it is similar enough.

    Args:
        config: Thresholds; whether each row keeps its best anchor regardless of them.
        similarity: `(batch, boxes, anchors)`.
        valid: `(batch, boxes)`, false for padding.

    Returns:
        `(batch, anchors)` int32; `NEGATIVE` and `IGNORED` where no row is matched. Of equal rows the first wins.
    """
    row = tf.argmax(similarity, axis=1, output_type=tf.int32)
    best = tf.reduce_max(similarity, axis=1)
    low, between = (NEGATIVE, IGNORED) if config.negatives_lower_than_unmatched else (IGNORED, NEGATIVE)
    match = row
    if not config.ignore_thresholds:
        match = tf.where(best < config.matched_threshold, between, match)
        match = tf.where(best < config.unmatched_threshold, low, match)
    if not config.force_match_for_each_row:
        return match
    favourite = tf.argmax(similarity, axis=2, output_type=tf.int32)
    forced = tf.one_hot(favourite, tf.shape(similarity)[2], dtype=tf.int32) * tf.cast(valid, tf.int32)[..., None]
    first_row = tf.argmax(forced, axis=1, output_type=tf.int32)
    return tf.where(tf.reduce_max(forced, axis=1) > 0, first_row, match)


def iou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Intersection over union of every box with every other; 0 where both are empty.

    Args:
        boxes: `(batch, n, 4)`: ymin, xmin, ymax, xmax.
        others: `(batch or 1, m, 4)`.

    Returns:
        `(batch, n, m)`.
    """
    ymin, xmin, ymax, xmax = tf.split(boxes, 4, axis=-1)
    other_ymin, other_xmin, other_ymax, other_xmax = tf.split(tf.linalg.matrix_transpose(others), 4, axis=-2)
    height = tf.maximum(tf.minimum(ymax, other_ymax) - tf.maximum(ymin, other_ymin), 0)
    width = tf.maximum(tf.minimum(xmax, other_xmax) - tf.maximum(xmin, other_xmin), 0)
    intersection = height * width
    areas = (ymax - ymin) * (xmax - xmin)
    other_areas = (other_ymax - other_ymin) * (other_xmax - other_xmin)
    return tf.math.divide_no_nan(intersection, areas + other_areas - intersection)
