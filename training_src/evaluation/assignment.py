# SPDX-License-Identifier: Apache-2.0
"""Which box each detection found at IoU 0.5, and which others it overlaps: where explanations of errors start.

Matched as COCO does: the surest detection first, each to the free box of its class that it overlaps most; a detection
that found none and lies in a crowd of its class counts as nothing. The numbers of the gate come from `coco.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training_src.evaluation.boxes import (
    Booleans,
    Detections,
    Floats,
    GroundTruth,
    Integers,
    intersection_over_union,
    rows_by_image,
)

FOUND, BACKGROUND = 0.5, 0.1
NONE = -1


@dataclass(frozen=True)
class Overlaps:
    """Pairs of a detection and a box of the same image, in order of detections, whose IoU is at least `BACKGROUND`.

    Attributes:
        detection: Shape `(P,)`, rows of `Detections`.
        truth: Shape `(P,)`, rows of `GroundTruth`, no crowd among them.
        iou: Shape `(P,)`.
        own_class: Shape `(P,)`, whether both have the same class.
    """

    detection: Integers
    truth: Integers
    iou: Floats
    own_class: Booleans


@dataclass(frozen=True)
class Assignment:
    """What became of `D` detections and `M` boxes.

    A detection of score s was matched without regard to those below s, so the same holds above any score.

    Attributes:
        found: Shape `(D,)`, the row of the box that a detection found, or `NONE`.
        finder: Shape `(M,)`, the row of the detection that found a box, or `NONE`.
        counted: Shape `(D,)`, whether a detection counts: not where it lies in a crowd and found no box.
        overlaps: All pairs that lie close.
    """

    found: Integers
    finder: Integers
    counted: Booleans
    overlaps: Overlaps

    @property
    def right(self) -> Booleans:
        """Shape `(D,)`, whether a detection found a box."""
        return np.asarray(self.found != NONE)


def assign(truth: GroundTruth, detections: Detections) -> Assignment:
    """Match all detections of a test set with its boxes at IoU 0.5."""
    parts, crowded = [], np.zeros(len(detections.scores), bool)
    for found, boxes in _by_image(truth, detections):
        crowd = truth.ignored[boxes]
        parts.append(_overlaps(truth, detections, found, boxes[~crowd]))
        if crowd.any():
            crowded[found] = _in_a_crowd(truth, detections, found, boxes[crowd])
    overlaps = _joined(parts)
    found, finder = _matched(overlaps, detections.scores, len(truth.classes))
    return Assignment(found, finder, (found != NONE) | ~crowded, overlaps)


def greatest_overlap(overlaps: Overlaps, which: Booleans, detections: int) -> tuple[Floats, Integers]:
    """The greatest IoU of each detection among some of the pairs, and with which box.

    Args:
        overlaps: All pairs.
        which: Shape `(P,)`, those that count.
        detections: How many there are.

    Returns:
        IoU, 0 where there is no pair, and the row of the box, or `NONE`; each of shape `(detections,)`.
    """
    greatest, box = np.zeros(detections), np.full(detections, NONE)
    order = np.flatnonzero(which)[np.argsort(overlaps.iou[which], kind="stable")]
    greatest[overlaps.detection[order]] = overlaps.iou[order]
    box[overlaps.detection[order]] = overlaps.truth[order]
    return greatest, box


def _by_image(truth: GroundTruth, detections: Detections) -> Iterator[tuple[Integers, Integers]]:
    """Rows of the detections and of the boxes of each image that has both."""
    boxes = rows_by_image(truth.image_index, truth.images)
    found = rows_by_image(detections.image_index, truth.images)
    yield from ((mine, theirs) for mine, theirs in zip(found, boxes, strict=True) if len(mine) and len(theirs))


def _overlaps(truth: GroundTruth, detections: Detections, found: Integers, boxes: Integers) -> Overlaps:
    iou = intersection_over_union(detections.boxes[found], truth.boxes[boxes])
    row, column = np.nonzero(iou >= BACKGROUND)
    mine, theirs = found[row], boxes[column]
    return Overlaps(mine, theirs, iou[row, column], detections.classes[mine] == truth.classes[theirs])


def _in_a_crowd(truth: GroundTruth, detections: Detections, found: Integers, crowds: Integers) -> Booleans:
    """Whether at least half of a detection's own area lies in a crowd of its class, as COCO counts it."""
    boxes, others = detections.boxes[found], truth.boxes[crowds]
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    shared = np.clip(np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - corner, 0, None).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    same = detections.classes[found][:, None] == truth.classes[crowds][None, :]
    return np.asarray(((shared >= FOUND * area) & (area > 0) & same).any(axis=1))


def _joined(parts: list[Overlaps]) -> Overlaps:
    if not parts:
        none = np.zeros(0, np.int64)
        return Overlaps(none, none, np.zeros(0), np.zeros(0, bool))
    names = ("detection", "truth", "iou", "own_class")
    return Overlaps(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _matched(overlaps: Overlaps, scores: Floats, boxes: int) -> tuple[Integers, Integers]:
    """What each detection found, and what found each box."""
    found, finder = np.full(len(scores), NONE), np.full(boxes, NONE)
    near = np.flatnonzero(overlaps.own_class & (overlaps.iou >= FOUND))
    mine, iou = overlaps.detection[near], overlaps.iou[near]
    # Of equal overlaps pycocotools takes the last box.
    order = near[np.lexsort((-overlaps.truth[near], -iou, mine, -scores[mine]))]
    for detection, box in zip(overlaps.detection[order].tolist(), overlaps.truth[order].tolist(), strict=True):
        if found[detection] == NONE and finder[box] == NONE:
            found[detection], finder[box] = box, detection
    return found, finder
