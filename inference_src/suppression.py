# SPDX-License-Identifier: Apache-2.0
"""Non-maximum suppression in NumPy, where a runtime's own cannot lower scores or suppress across classes.

OD API `batch_multiclass_non_max_suppression`, and TensorFlow's `NonMaxSuppressionV5`, with the order that they give to
equal scores: the lower class first, then the lower anchor. Soft suppression is https://arxiv.org/abs/1704.04503.
"""

from collections import Counter
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from inference_src.detections import Detections

Floats = NDArray[np.float32]
BEST_PAIRS = 1024
"""So many of an image's best pairs of box and class are looked at first; they nearly always hold all its detections."""


class Suppression(BaseModel):
    """The numbers of a config's `batch_non_max_suppression`, and the ids of the classes that scores are of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    score_threshold: Annotated[float, Field(ge=0)]
    iou_threshold: Annotated[float, Field(ge=0)]
    max_detections_per_class: Annotated[int, Field(ge=1)]
    max_total_detections: Annotated[int, Field(ge=1)]
    use_class_agnostic_nms: bool
    soft_nms_sigma: Annotated[float, Field(ge=0)]
    change_coordinate_frame: bool
    class_ids: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]


class Scored(NamedTuple):
    """What a network says of an image, before suppression.

    Attributes:
        boxes: `(1 or classes, n, 4)`: ymin, xmin, ymax, xmax, all classes' or those of each.
        scores: `(classes, n)`, not negative but for rows that are only padding.
        window: `(4,)`: ymin, xmin, ymax, xmax of the image without its padding, in the boxes' coordinates.
    """

    boxes: Floats
    scores: Floats
    window: Floats


class _Pairs(NamedTuple):
    """Candidates, pairs of box and class, the lower class first, then the lower anchor; `boxes` is `(pairs, 4)`."""

    boxes: Floats
    scores: Floats
    classes: NDArray[np.intp]
    anchors: NDArray[np.intp]


def suppress(config: Suppression, scored: Scored, all_scores: Floats | None = None) -> Detections:
    """The detections of an image. Boxes are compared whole and cut at the window afterwards.

    Args:
        config: Thresholds and limits.
        scored: What the network says.
        all_scores: `(n, columns)`; given, anchor indices and the scores of all classes are told, too.
    """
    limit = BEST_PAIRS
    while True:
        pairs, unseen = _best_pairs(config, scored, limit)
        inside = _has_area(_clipped(pairs.boxes, scored.window))
        chosen = _chosen(config, pairs, inside, unseen)
        if chosen is not None:
            break
        limit *= 8
    kept = [(pair, score) for pair, score in chosen if inside[pair]]
    places = np.array([pair for pair, _ in kept], np.intp)
    scores = np.array([score for _, score in kept], np.float32)
    left = _Pairs(pairs.boxes[places], scores, pairs.classes[places], pairs.anchors[places])
    return _padded(config, left, scored, all_scores)


def _best_pairs(config: Suppression, scored: Scored, limit: int) -> tuple[_Pairs, float]:
    """At least so many of the best pairs above the threshold, and what all others' scores are below."""
    scores = scored.scores
    highest = scores.max(axis=0)
    unseen = -np.inf if len(highest) <= limit else float(np.partition(highest, -limit)[-limit])
    anchors = np.flatnonzero((highest > config.score_threshold) & (highest >= unseen))
    seen = scores[:, anchors]
    if config.use_class_agnostic_nms:
        classes = seen.argmax(axis=0)
    else:
        classes, columns = np.nonzero((seen > config.score_threshold) & (seen >= unseen))
        anchors = anchors[columns]
    boxes = scored.boxes[classes if len(scored.boxes) > 1 else 0, anchors]
    pairs = _Pairs(boxes, scores[classes, anchors], classes, anchors)
    return pairs, unseen if unseen > config.score_threshold else -np.inf


def _chosen(
    config: Suppression, pairs: _Pairs, inside: NDArray[np.bool_], unseen: float
) -> list[tuple[int, np.float32]] | None:
    """Places and scores of those that are left, best first; None where one that was not seen may be among them."""
    agnostic, threshold = config.use_class_agnostic_nms, np.float32(config.score_threshold)
    limit = config.max_total_detections if agnostic else config.max_detections_per_class
    groups = np.zeros_like(pairs.classes) if agnostic else pairs.classes
    scores, visible = pairs.scores.copy(), 0
    chosen: list[tuple[int, np.float32]] = []
    taken: Counter[int] = Counter()
    while visible < config.max_total_detections and not (agnostic and len(chosen) == limit):
        place = int(scores.argmax()) if len(scores) else -1
        score = scores[place] if len(scores) else np.float32(0)
        if score < unseen:
            return None
        if score <= threshold:
            break
        group = int(groups[place])
        alike = np.flatnonzero(groups == group)
        chosen.append((place, score))
        visible += int(inside[place])
        taken[group] += 1
        if taken[group] == limit:
            scores[alike] = 0
        else:
            scores[alike] *= _weights(config, _overlaps(pairs.boxes[place], pairs.boxes[alike]))
            scores[place] = 0
    return chosen


def _weights(config: Suppression, overlap: Floats) -> Floats:
    """What is left of the scores of boxes that overlap so far with one that is chosen."""
    if config.soft_nms_sigma == 0:
        return (overlap <= np.float32(config.iou_threshold)).astype(np.float32)
    scale = np.float32(-0.5) / np.float32(config.soft_nms_sigma)
    return np.asarray(np.exp(scale * overlap * overlap), np.float32)


def _overlaps(box: Floats, boxes: Floats) -> Floats:
    """Of one box `(4,)` with each of others `(n, 4)`; 0 where one has no area. Corners may stand in any order."""
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    own_low, own_high = np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])
    areas, own = (high - low).prod(axis=1), (own_high - own_low).prod()
    shared = np.maximum(np.minimum(high, own_high) - np.maximum(low, own_low), 0).prod(axis=1)
    real = (areas > 0) & (own > 0)
    return np.where(real, shared / np.where(real, areas + own - shared, 1), 0).astype(np.float32)


def _clipped(boxes: Floats, window: Floats) -> Floats:
    return np.clip(boxes, np.tile(window[:2], 2), np.tile(window[2:], 2))


def _has_area(boxes: Floats) -> NDArray[np.bool_]:
    return np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1))


def _padded(config: Suppression, kept: _Pairs, scored: Scored, all_scores: Floats | None) -> Detections:
    """What is kept as detections, zeros behind it."""
    boxes, low = _clipped(kept.boxes, scored.window), np.tile(scored.window[:2], 2)
    if config.change_coordinate_frame:
        boxes = (boxes - low) / (np.tile(scored.window[2:], 2) - low)
    missing = config.max_total_detections - len(kept.scores)
    behind = [(0, missing), (0, 0)]
    return Detections(
        boxes=np.pad(boxes, behind),
        scores=np.pad(kept.scores, behind[:1]),
        classes=np.pad(np.array(config.class_ids, np.int32)[kept.classes], behind[:1]),
        count=len(kept.scores),
        anchor_indices=None if all_scores is None else np.pad(kept.anchors.astype(np.int32), behind[:1]),
        multiclass_scores=None if all_scores is None else np.pad(all_scores[kept.anchors], behind),
    )
