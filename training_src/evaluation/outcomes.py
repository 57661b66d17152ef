# SPDX-License-Identifier: Apache-2.0
"""What became of each box of an image at one score: hit, missed, or a false alarm. For people to look at."""

from dataclasses import dataclass

import numpy as np

from training_src.evaluation.boxes import Detections, GroundTruth, Integers, intersection_over_union, rows_by_image

LEAST_IOU = 0.5


@dataclass(frozen=True)
class Outcome:
    """One image's boxes, by their rows in the columns of `GroundTruth` and `Detections`.

    Attributes:
        image: Its index.
        hits: Detections that found a box of their class.
        found: The boxes that they found, in the same order.
        missed: Boxes that nothing found.
        false_alarms: Detections that found nothing, those in crowds left out.
    """

    image: int
    hits: tuple[int, ...]
    found: tuple[int, ...]
    missed: tuple[int, ...]
    false_alarms: tuple[int, ...]

    @property
    def errors(self) -> int:
        """Misses and false alarms together."""
        return len(self.missed) + len(self.false_alarms)


@dataclass(frozen=True)
class Examples:
    """Images worth looking at; none is there twice."""

    best: tuple[Outcome, ...]
    missed: tuple[Outcome, ...]
    false_alarms: tuple[Outcome, ...]


def outcomes(truth: GroundTruth, detections: Detections, score: float) -> list[Outcome]:
    """Match detections from `score` on as COCO does at IoU 0.5: surest first, each to the box it overlaps most."""
    rows = rows_by_image(truth.image_index, truth.images)
    kept = rows_by_image(detections.image_index, truth.images)
    return [
        _outcome(truth, detections, image, mine, theirs[detections.scores[theirs] >= score])
        for image, (mine, theirs) in enumerate(zip(rows, kept, strict=True))
    ]


def examples(found: list[Outcome], each: int = 3) -> Examples:
    """The best images (most boxes, no error), and those with the most misses and the most false alarms."""
    missed = sorted((one for one in found if one.missed), key=lambda one: (-len(one.missed), -one.errors, one.image))
    missed = missed[:each]
    taken = {one.image for one in missed}
    alarms = [one for one in found if one.false_alarms and one.image not in taken]
    alarms = sorted(alarms, key=lambda one: (-len(one.false_alarms), one.image))[:each]
    right = sorted((one for one in found if one.hits and not one.errors), key=lambda one: (-len(one.hits), one.image))
    return Examples(tuple(right[:each]), tuple(missed), tuple(alarms))


def _outcome(truth: GroundTruth, detections: Detections, image: int, mine: Integers, theirs: Integers) -> Outcome:
    theirs = theirs[np.argsort(-detections.scores[theirs], kind="stable")]
    overlap = intersection_over_union(detections.boxes[theirs], truth.boxes[mine], truth.ignored[mine])
    overlap *= detections.classes[theirs][:, None] == truth.classes[mine][None, :]
    free = ~truth.ignored[mine]
    hits, found, alarms = [], [], []
    for at, row in enumerate(theirs):
        candidates = np.where(free, overlap[at], 0.0)
        best = int(candidates.argmax()) if len(candidates) else -1
        if best >= 0 and candidates[best] >= LEAST_IOU:
            free[best] = False
            hits.append(int(row))
            found.append(int(mine[best]))
        elif not (overlap[at][truth.ignored[mine]] >= LEAST_IOU).any():
            alarms.append(int(row))
    return Outcome(image, tuple(hits), tuple(found), tuple(int(row) for row in mine[free]), tuple(alarms))
