# SPDX-License-Identifier: Apache-2.0
"""COCO's matching of detections to boxes, all images at once: what every average precision and recall depends on.

The surest detection of a class in an image chooses first: of the boxes of its class that are still free it takes the
one that it overlaps most, at each of ten IoU thresholds; once for boxes of every size and once for each of COCO's.
Source: `COCOeval.evaluateImg` in https://github.com/cocodataset/cocoapi/blob/master/PythonAPI/pycocotools/cocoeval.py
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from training_src.evaluation.boxes import (
    Booleans,
    Detections,
    Floats,
    GroundTruth,
    Integers,
    check_detections,
    check_ground_truth,
    to_pixels,
)

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
# Of each class in an image.
MAXIMUM_DETECTIONS = 100
# Square pixels, both ends included.
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
SIZES = tuple(AREAS)
# Pairs of a detection and a box whose overlap is computed at once: bounds the memory.
_PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class SizeMatches:
    """How one class's detections were matched where boxes of one size are to be found.

    Attributes:
        matched: Shape `(T, D)`, whether the detection found a box at each IoU threshold.
        ignored: Shape `(T, D)`, whether it counts as nothing: it found a crowd or a box of another size, or nothing and
            is of another size itself.
        truth_images: Shape `(M,)`, the image of each box to be found.
    """

    matched: Booleans
    ignored: Booleans
    truth_images: Integers


@dataclass(frozen=True)
class ClassMatches:
    """How one class's detections were matched, in falling order of score (ties in order of images).

    Attributes:
        images: Number of images N.
        image_index: Shape `(D,)`, the image of each detection.
        scores: Shape `(D,)`.
        rank: Shape `(D,)`, its place among its image's detections of the class: 0 is the surest.
        sizes: By the names of `SIZES`.
    """

    images: int
    image_index: Integers
    scores: Floats
    rank: Integers
    sizes: Mapping[str, SizeMatches]

    @property
    def matched(self) -> Booleans:
        """Shape `(T, D)`, of boxes of every size."""
        return self.sizes["all"].matched

    @property
    def ignored(self) -> Booleans:
        """Shape `(T, D)`, of boxes of every size."""
        return self.sizes["all"].ignored

    @property
    def truths(self) -> Integers:
        """Shape `(N,)`: boxes of every size to be found in each image."""
        return np.bincount(self.sizes["all"].truth_images, minlength=self.images)


@dataclass(frozen=True)
class Matches:
    """Every class's matches in the same images: all that AP and AR depend on.

    Attributes:
        images: Number of images N.
        classes: By label-map id, in its order.
    """

    images: int
    classes: Mapping[int, ClassMatches] = field(default_factory=dict)

    def subset(self, images: Booleans) -> "Matches":
        """The same, but for detections and boxes of other images: a slice of the test set.

        Args:
            images: Shape `(N,)`, which images count. All keep their index, so that the same draws weigh them.
        """
        return Matches(self.images, {number: _subset(found, images) for number, found in self.classes.items()})


def match(truth: GroundTruth, detections: Detections, label_map: Mapping[int, str]) -> Matches:
    """Match detections to boxes as COCO does.

    Args:
        truth: What is in the images.
        detections: What was found in the same images.
        label_map: Names by id; gaps between ids are fine.

    Raises:
        EvaluationError: Either is not what it should be (`check_ground_truth`, `check_detections`).
    """
    check_ground_truth(truth, label_map)
    check_detections(detections, truth.images, label_map)
    boxes = _Boxes.of_truth(truth)
    found, rank, scores = _ranked(detections, truth)
    overlaps = _overlaps(found, boxes)
    matched, ignored = {}, {}
    for size, area in AREAS.items():
        skipped = boxes.crowd | boxes.is_outside(area)
        matched[size], ignored[size] = _assign(overlaps, boxes.crowd, skipped, len(found.classes))
        ignored[size] |= ~matched[size] & found.is_outside(area)[:, None]
        matched[size] &= ~ignored[size]
    classes = {}
    for number in sorted(label_map):
        mine = slice(*np.searchsorted(found.classes, [number, number + 1]))
        order = np.argsort(-scores[mine], kind="stable")
        theirs = boxes.images[boxes.classes == number], boxes.areas[boxes.classes == number]
        to_find = ~boxes.crowd[boxes.classes == number]
        sizes = {
            size: SizeMatches(
                matched=np.ascontiguousarray(matched[size][mine][order].T),
                ignored=np.ascontiguousarray(ignored[size][mine][order].T),
                truth_images=theirs[0][to_find & (theirs[1] >= least) & (theirs[1] <= most)],
            )
            for size, (least, most) in AREAS.items()
        }
        index = found.images[mine][order]
        classes[number] = ClassMatches(truth.images, index, scores[mine][order], rank[mine][order], sizes)
    return Matches(truth.images, classes)


@dataclass(frozen=True)
class _Boxes:
    """Boxes by class, then by image, in their order.

    Attributes:
        classes, images: Shape `(M,)`.
        keys: Shape `(M,)`, ascending: the same for boxes of one class in one image.
        boxes: Shape `(M, 4)`: x, y, width, height in pixels.
        areas: Shape `(M,)`, square pixels.
        crowd: Shape `(M,)`.
    """

    classes: Integers
    images: Integers
    keys: Integers
    boxes: Floats
    areas: Floats
    crowd: Booleans

    @classmethod
    def of_truth(cls, truth: GroundTruth) -> "_Boxes":
        order = np.lexsort((truth.image_index, truth.classes))
        classes, images = truth.classes[order].astype(np.int64), truth.image_index[order].astype(np.int64)
        boxes = to_pixels(truth.boxes[order], truth.sizes, images)
        areas = truth.square_pixels()[order]
        return cls(classes, images, classes * truth.images + images, boxes, areas, truth.ignored[order])

    def is_outside(self, area: tuple[float, float]) -> Booleans:
        """Whether each is of another size."""
        return np.asarray((self.areas < area[0]) | (self.areas > area[1]))


@dataclass(frozen=True)
class _Overlaps:
    """Pairs of a detection and a box of its class in its image, which overlap enough for the lowest threshold.

    Attributes:
        detection: Shape `(P,)`, row of the detection.
        box: Shape `(P,)`, row of the box.
        iou: Shape `(P,)`.
        turn: Shape `(P,)`: all that choose in the same turn are of different images or classes.
    """

    detection: Integers
    box: Integers
    iou: Floats
    turn: Integers


def _ranked(detections: Detections, truth: GroundTruth) -> tuple[_Boxes, Integers, Floats]:
    """The surest hundred of each class in each image by class, image and falling score; their ranks and scores."""
    order = np.lexsort((-detections.scores, detections.image_index, detections.classes))
    keys = detections.classes[order].astype(np.int64) * truth.images + detections.image_index[order]
    rank = _places(keys)
    order, keys, rank = (column[rank < MAXIMUM_DETECTIONS] for column in (order, keys, rank))
    images = detections.image_index[order].astype(np.int64)
    boxes = to_pixels(detections.boxes[order], truth.sizes, images)
    classes = detections.classes[order].astype(np.int64)
    crowd = np.zeros(len(order), bool)
    found = _Boxes(classes, images, keys, boxes, boxes[:, 2] * boxes[:, 3], crowd)
    return found, rank, detections.scores[order].astype(np.float64)


def _places(keys: Integers) -> Integers:
    """The place of each among the equal ones of an ascending column, counted from 0."""
    place = np.arange(len(keys))
    begins = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    return place - np.maximum.accumulate(np.where(begins, place, 0))


def _overlaps(found: _Boxes, boxes: _Boxes) -> _Overlaps:
    first = np.searchsorted(boxes.keys, found.keys, side="left")
    count = np.searchsorted(boxes.keys, found.keys, side="right") - first
    kept = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for rows in _parts(count):
        detection = np.repeat(rows, count[rows])
        box = np.arange(len(detection)) - np.repeat(np.cumsum(count[rows]) - count[rows] - first[rows], count[rows])
        iou = _iou(found.boxes[detection], boxes.boxes[box], boxes.crowd[box])
        enough = iou >= IOU_THRESHOLDS[0]
        kept.append((detection[enough], box[enough], iou[enough]))
    detection, box, iou = (np.concatenate(column) for column in zip(*kept, strict=True))
    choosing, position = np.unique(detection, return_inverse=True)
    return _Overlaps(detection, box, iou, _places(found.keys[choosing])[position])


def _parts(count: Integers) -> Iterator[Integers]:
    """Rows with a count, in parts of which each counts to about `_PAIRS_AT_ONCE` at most."""
    rows = np.flatnonzero(count)
    total = np.cumsum(count[rows])
    edges = np.searchsorted(total, np.arange(_PAIRS_AT_ONCE, total[-1] if len(total) else 0, _PAIRS_AT_ONCE))
    yield from (part for part in np.split(rows, edges) if len(part))


def _iou(found: Floats, boxes: Floats, crowd: Booleans) -> Floats:
    """Overlap of pairs of boxes `(P, 4)`, with the same rounding as `bbIou` in COCO's `maskApi.c`.

    Of a crowd the share of the detection that lies in it counts.
    """
    corner = np.maximum(found[:, :2], boxes[:, :2])
    extent = np.minimum(found[:, :2] + found[:, 2:], boxes[:, :2] + boxes[:, 2:]) - corner
    shared = np.where((extent > 0).all(axis=1), extent[:, 0] * extent[:, 1], 0.0)
    own = found[:, 2] * found[:, 3]
    union = np.where(crowd, own, own + boxes[:, 2] * boxes[:, 3] - shared)
    return np.asarray(np.divide(shared, union, out=np.zeros(len(shared)), where=shared > 0))


def _assign(pairs: _Overlaps, crowd: Booleans, skipped: Booleans, detections: int) -> tuple[Booleans, Booleans]:
    """Which detections found a box, and which of these a box that counts as nothing, both `(D, T)`.

    Args:
        pairs: Who may find what.
        crowd: Shape `(M,)`: boxes that several may find.
        skipped: Shape `(M,)`: boxes that count as nothing; they are taken only where no other fits.
        detections: How many there are, D.
    """
    matched, ignored = (np.zeros((detections, len(IOU_THRESHOLDS)), bool) for _ in range(2))
    taken = np.zeros((len(crowd), len(IOU_THRESHOLDS)), bool)
    # The last of a detection's pairs that is free is the one that COCO takes.
    order = np.lexsort((pairs.box, pairs.iou, ~skipped[pairs.box], pairs.detection, pairs.turn))
    detection, box, iou, turn = (column[order] for column in (pairs.detection, pairs.box, pairs.iou, pairs.turn))
    turns = int(turn[-1]) + 1 if len(turn) else 0
    for begin, end in pairwise(np.searchsorted(turn, np.arange(turns + 1))):
        some, boxes = detection[begin:end], box[begin:end]
        fits = (~taken[boxes] | crowd[boxes][:, None]) & (iou[begin:end, None] >= IOU_THRESHOLDS)
        starts = np.flatnonzero(np.append(True, some[1:] != some[:-1]))
        last = np.maximum.reduceat(np.where(fits, np.arange(len(some))[:, None], -1), starts, axis=0)
        chosen, rows = boxes[last], some[starts]
        matched[rows] = last >= 0
        ignored[rows] = (last >= 0) & skipped[chosen]
        who, at = np.nonzero(last >= 0)
        taken[chosen[who, at], at] = True
    return matched, ignored


def _subset(found: ClassMatches, images: Booleans) -> ClassMatches:
    kept = images[found.image_index]
    sizes = {
        name: SizeMatches(one.matched[:, kept], one.ignored[:, kept], one.truth_images[images[one.truth_images]])
        for name, one in found.sizes.items()
    }
    return ClassMatches(found.images, found.image_index[kept], found.scores[kept], found.rank[kept], sizes)
