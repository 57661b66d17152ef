# SPDX-License-Identifier: Apache-2.0
"""Whether two runtimes of one model give the same detections."""

from dataclasses import dataclass

import numpy as np

from training_src.evaluation.boxes import Booleans, Detections, Integers, intersection_over_union, rows_by_image

# Below this score detections come and go with the last bits of a float at the 100-box limit.
LEAST_SCORE = 0.1
# Two detections are one when class is equal, boxes overlap so far, and scores lie so close.
LEAST_IOU = 0.9
GREATEST_SCORE_DIFFERENCE = 0.02
# Or corners lie so close, in shares of the image: of boxes smaller than a pixel rounding decides how they overlap.
GREATEST_CORNER_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Parity:
    """How two sets of detections of the same images compare.

    Attributes:
        matched: Share of the detections above `LEAST_SCORE`, of both sides, that the other side has too; 1.0 when
            neither side has any.
        compared: How many detections those are, of both sides.
        greatest_score_difference: Among matched detections.
        least_iou: Among matched detections.
    """

    matched: float
    compared: int
    greatest_score_difference: float
    least_iou: float


def compare(reference: Detections, other: Detections, images: int) -> Parity:
    """Match each side's detections with the other's, image by image, each at most once and the most alike first.

    Alike are boxes and scores together: of several boxes that the image's border made one and the same, only scores
    tell which is which.
    """
    hits = total = 0
    greatest, least = 0.0, 1.0
    rows, columns = rows_by_image(reference.image_index, images), rows_by_image(other.image_index, images)
    for mine, theirs in zip(rows, columns, strict=True):
        total += int((reference.scores[mine] >= LEAST_SCORE).sum() + (other.scores[theirs] >= LEAST_SCORE).sum())
        for one, two, overlap in _pairs(reference, mine, other, theirs):
            scores = reference.scores[one], other.scores[two]
            hits += sum(score >= LEAST_SCORE for score in scores)
            if max(scores) >= LEAST_SCORE:
                greatest, least = max(greatest, abs(float(scores[0] - scores[1]))), min(least, overlap)
    return Parity(hits / total if total else 1.0, total, greatest, least)


def _pairs(reference: Detections, mine: Integers, other: Detections, theirs: Integers) -> list[tuple[int, int, float]]:
    """Indices of detections that are one and the same, with their IoU."""
    overlap = intersection_over_union(reference.boxes[mine], other.boxes[theirs])
    corners = np.abs(reference.boxes[mine][:, None] - other.boxes[theirs][None, :]).max(axis=2, initial=0)
    overlap = np.where(corners <= GREATEST_CORNER_DIFFERENCE, np.maximum(overlap, LEAST_IOU), overlap)
    same: Booleans = reference.classes[mine][:, None] == other.classes[theirs][None, :]
    difference = np.abs(reference.scores[mine][:, None] - other.scores[theirs][None, :])
    rows, columns = np.nonzero(same & (difference <= GREATEST_SCORE_DIFFERENCE) & (overlap >= LEAST_IOU))
    apart = 1 - overlap[rows, columns] + difference[rows, columns]
    pairs, used_rows, used_columns = [], set(), set()
    for at in np.argsort(apart, kind="stable"):
        row, column = int(rows[at]), int(columns[at])
        if row in used_rows or column in used_columns:
            continue
        used_rows.add(row)
        used_columns.add(column)
        pairs.append((int(mine[row]), int(theirs[column]), float(overlap[row, column])))
    return pairs
