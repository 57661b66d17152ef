# SPDX-License-Identifier: Apache-2.0
"""From scored boxes to detections: of boxes that overlap, the best of each class is left.

OD API `batch_multiclass_non_max_suppression`, with the order that it gives to equal scores: the lower class first, then
the lower anchor.
"""

from typing import NamedTuple

import tensorflow as tf

from training_src.models.config.post_processing import BatchNonMaxSuppression, PostProcessing

# So many of an image's best pairs of box and class are looked at first; they nearly always hold all its detections.
BEST_PAIRS = 1024


class Detections(NamedTuple):
    """A batch's detections, best first, padded with zeros to `max_total_detections`.

    Attributes:
        boxes: `(batch, detections, 4)`: ymin, xmin, ymax, xmax, normalised and clipped to the image.
        scores: `(batch, detections)`.
        classes: `(batch, detections)` float32, from 0.
        count: `(batch,)` int32: how many are no padding.
        anchor_indices: `(batch, detections)` int32: the anchor, or the proposal, of each.
        multiclass_scores: `(batch, detections, columns)`: the scores of all classes, the background's included.
        raw_boxes: `(batch, anchors, 4)`: every box before suppression, normalised to the padded image.
        raw_scores: `(batch, anchors, columns)`: their scores.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    count: tf.Tensor
    anchor_indices: tf.Tensor
    multiclass_scores: tf.Tensor
    raw_boxes: tf.Tensor
    raw_scores: tf.Tensor

    @classmethod
    def of(cls, kept: "Kept", all_scores: tf.Tensor, raw_boxes: tf.Tensor, raw_scores: tf.Tensor) -> "Detections":
        """What was kept, with the scores `(batch, anchors, columns)` of all classes."""
        shown = tf.sequence_mask(kept.count, kept.scores.shape[1], tf.float32)
        multiclass = tf.gather(all_scores, kept.indices, batch_dims=1) * shown[..., None]
        classes = tf.cast(kept.classes, tf.float32)
        return cls(kept.boxes, kept.scores, classes, kept.count, kept.indices, multiclass, raw_boxes, raw_scores)


class Kept(NamedTuple):
    """What is left of a batch's boxes, best first, padded with zeros to `max_total_detections`.

    Attributes:
        boxes: `(batch, detections, 4)`: ymin, xmin, ymax, xmax, clipped, in the window's coordinates if the config
            says so.
        scores: `(batch, detections)`.
        classes: `(batch, detections)` int32, from 0.
        indices: `(batch, detections)` int32: the box's place among those given.
        count: `(batch,)` int32: how many are no padding.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    indices: tf.Tensor
    count: tf.Tensor


class _Pairs(NamedTuple):
    """Candidates, pairs of box and class: best first, absent ones last with a score that is not positive.

    `boxes` is `(batch, pairs, 4)`; `scores`, `classes`, `indices` are `(batch, pairs)`.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    indices: tf.Tensor


def non_max_suppression(config: BatchNonMaxSuppression, boxes: tf.Tensor, scores: tf.Tensor, window: tf.Tensor) -> Kept:
    """Greedy suppression, a class at a time. As in the API, boxes are compared whole and cut at the window afterwards.

    Args:
        config: Thresholds and limits.
        boxes: `(batch, n, q, 4)`: ymin, xmin, ymax, xmax; q is 1, or the number of classes where each has its own box.
        scores: `(batch, n, classes)`, not negative.
        window: `(batch, 4)`: ymin, xmin, ymax, xmax of the images. Boxes outside are left out.
    """
    if config.use_class_agnostic_nms:
        return _agnostic(config, boxes, scores, window)
    if config.soft_nms_sigma > 0:
        return _finished(config, _suppressed_singly(config, boxes, scores), window)
    best, complete, unseen = _best_pairs(config, boxes, scores)
    kept = _finished(config, _suppressed_together(config, best, scores.shape[2]), window)
    full = kept.count == config.max_total_detections
    enough = tf.reduce_all(complete | (full & (kept.scores[:, -1] > unseen)))
    return Kept(
        *tf.cond(
            enough,
            lambda: tuple(kept),
            lambda: tuple(_finished(config, _suppressed_singly(config, boxes, scores), window)),
        )
    )


def convert_scores(config: PostProcessing, logits: tf.Tensor) -> tf.Tensor:
    """Logits `(..., columns)` to scores, as `score_converter` says."""
    # The API scales what it then leaves as it is, too.
    scaled = logits / config.logit_scale if config.logit_scale != 1 else logits
    if config.score_converter == "IDENTITY":
        return scaled
    return tf.sigmoid(scaled) if config.score_converter == "SIGMOID" else tf.nn.softmax(scaled)


def clip_windows(true_shapes: tf.Tensor, padded_shape: tf.Tensor) -> tf.Tensor:
    """Each image without its padding, `(batch, 4)`: ymin, xmin, ymax, xmax, normalised to the padded image.

    Args:
        true_shapes: `(batch, 3)` int32: height, width, channels without padding.
        padded_shape: `(4,)` int32: the batch's.
    """
    corner = tf.cast(true_shapes[:, :2], tf.float32) / tf.cast(padded_shape[1:3], tf.float32)
    return tf.concat([tf.zeros_like(corner), corner], axis=1)


def _agnostic(config: BatchNonMaxSuppression, boxes: tf.Tensor, scores: tf.Tensor, window: tf.Tensor) -> Kept:
    """Every box has its best class only, and suppresses boxes of other classes too."""
    classes = tf.argmax(scores, axis=2, output_type=tf.int32)
    own = boxes[:, :, 0] if boxes.shape[2] == 1 else tf.gather(boxes, classes, batch_dims=2)
    best = tf.reduce_max(scores, axis=2, keepdims=True)
    limit = config.max_total_detections
    pairs = _suppressed_singly(config, own[:, :, None], best, limit)
    pairs = pairs._replace(classes=tf.gather(classes, pairs.indices, batch_dims=1))
    return _finished(config, pairs, window)


def _best_pairs(
    config: BatchNonMaxSuppression, boxes: tf.Tensor, scores: tf.Tensor
) -> tuple[_Pairs, tf.Tensor, tf.Tensor]:
    """The best candidates; for each image whether there are no others above the threshold, and the best box not seen.

    The best pairs belong to the boxes with the best scores, so that only those boxes' classes are sorted.
    """
    number, classes = tf.shape(scores)[1], scores.shape[2]
    limit = tf.minimum(number * classes, max(BEST_PAIRS, 8 * config.max_total_detections))
    seen = tf.minimum(number, limit)
    highest = tf.reduce_max(scores, axis=2)
    ranked, order = tf.math.top_k(tf.pad(highest, [[0, 0], [0, 1]], constant_values=-1.0), seen + 1)
    rows = tf.sort(order[:, :seen])
    # Class by class, so that of equal scores the lower class comes first, then the lower anchor.
    by_class = tf.linalg.matrix_transpose(tf.gather(scores, rows, batch_dims=1))
    flat = tf.reshape(by_class, [tf.shape(scores)[0], classes * seen])
    present = flat > config.score_threshold
    best, place = tf.math.top_k(tf.where(present, flat, -1.0), limit)
    pairs = _pairs(boxes, best, place // seen, tf.gather(rows, place % seen, batch_dims=1))
    unseen = ranked[:, seen]
    complete = (unseen <= config.score_threshold) & (tf.math.count_nonzero(present, axis=1, dtype=tf.int32) <= limit)
    return pairs, complete, unseen


def _suppressed_together(config: BatchNonMaxSuppression, pairs: _Pairs, classes: int) -> _Pairs:
    """One operation for all images and classes.

    It leaves the order of equal scores open, so it is given ranks for scores.
    """
    size = tf.shape(pairs.scores)[1]
    ranks = tf.where(pairs.scores > 0, tf.cast(size - tf.range(size), tf.float32), 0.0)
    kept = tf.image.combined_non_max_suppression(
        pairs.boxes[:, :, None],
        tf.one_hot(pairs.classes, classes) * ranks[..., None],
        max_output_size_per_class=config.max_detections_per_class,
        max_total_size=max(BEST_PAIRS, 8 * config.max_total_detections),
        iou_threshold=config.iou_threshold,
        score_threshold=0.0,
        clip_boxes=False,
    )
    found = tf.cast(kept.nmsed_scores, tf.int32)
    place = tf.maximum(size - found, 0)
    place = tf.where(found > 0, place, 0)
    chosen = _Pairs(*(tf.gather(array, place, batch_dims=1) for array in pairs))
    return chosen._replace(scores=tf.where(found > 0, chosen.scores, -1.0))


def _suppressed_singly(
    config: BatchNonMaxSuppression, boxes: tf.Tensor, scores: tf.Tensor, limit: int | None = None
) -> _Pairs:
    """A class of an image at a time: slower, but for any number of boxes, and for soft suppression."""
    batch, classes = tf.shape(scores)[0], scores.shape[2]
    limit = limit or config.max_detections_per_class

    def suppress(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, column = position // classes, position % classes
        indices, found = tf.image.non_max_suppression_with_scores(
            boxes[image, :, 0 if boxes.shape[2] == 1 else column],
            scores[image, :, column],
            limit,
            config.iou_threshold,
            config.score_threshold,
            config.soft_nms_sigma,
        )
        missing = [[0, limit - tf.shape(indices)[0]]]
        return tf.pad(indices, missing), tf.pad(found, missing, constant_values=-1.0)

    signature = (tf.TensorSpec([limit], tf.int32), tf.TensorSpec([limit], tf.float32))
    indices, found = tf.map_fn(suppress, tf.range(batch * classes), fn_output_signature=signature)
    indices, found = (tf.reshape(array, [batch, classes * limit]) for array in (indices, found))
    best, place = tf.math.top_k(found, classes * limit)
    return _pairs(boxes, best, place // limit, tf.gather(indices, place, batch_dims=1))


def _pairs(boxes: tf.Tensor, scores: tf.Tensor, classes: tf.Tensor, indices: tf.Tensor) -> _Pairs:
    column = tf.zeros_like(classes) if boxes.shape[2] == 1 else classes
    own = tf.gather_nd(boxes, tf.stack([indices, column], axis=-1), batch_dims=1)
    return _Pairs(own, scores, classes, indices)


def _finished(config: BatchNonMaxSuppression, pairs: _Pairs, window: tf.Tensor) -> Kept:
    """The best of those that the window leaves an area to."""
    total = config.max_total_detections
    low, high = window[:, None, :2], window[:, None, 2:]
    corners = tf.stack([pairs.boxes[..., :2], pairs.boxes[..., 2:]], axis=2)
    clipped = tf.maximum(tf.minimum(corners, high[:, :, None]), low[:, :, None])
    inside = tf.reduce_all(clipped[:, :, 1] > clipped[:, :, 0], axis=-1) & (pairs.scores >= 0)
    if config.change_coordinate_frame:
        clipped = (clipped - low[:, :, None]) / (high - low)[:, :, None]
    missing = [[0, 0], [0, total]]
    best, place = tf.math.top_k(tf.pad(tf.where(inside, pairs.scores, -1.0), missing, constant_values=-1.0), total)
    count = tf.minimum(tf.math.count_nonzero(inside, axis=1, dtype=tf.int32), total)
    shown = tf.sequence_mask(count, total)

    def chosen(array: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(array, missing + [[0, 0]] * (len(array.shape) - 2))
        picked = tf.gather(padded, place, batch_dims=1)
        return tf.where(tf.reshape(shown, tf.concat([tf.shape(shown), [1] * (len(array.shape) - 2)], 0)), picked, 0)

    boxes = chosen(tf.reshape(clipped, tf.concat([tf.shape(clipped)[:2], [4]], 0)))
    return Kept(boxes, tf.where(shown, best, 0.0), chosen(pairs.classes), chosen(pairs.indices), count)
