# SPDX-License-Identifier: Apache-2.0
"""Precision, recall and F1 over the score at IoU 0.5, and average precision of what is given as right or wrong."""

from dataclasses import dataclass

import numpy as np

from training_src.evaluation.boxes import Booleans, Floats, Integers

# Scores at which a curve is told.
SCORES = np.linspace(0.0, 1.0, 101)
_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class ScoreCurve:
    """What counts from each of `SCORES` on.

    Attributes:
        detections: Shape `(101,)`, detections of this score or more.
        right: Shape `(101,)`, those of them that found a box.
        truths: Boxes to be found.
    """

    detections: Integers
    right: Integers
    truths: int

    @property
    def precision(self) -> Floats:
        """Shape `(101,)`; NaN where nothing was detected."""
        return _share(self.right, self.detections)

    @property
    def recall(self) -> Floats:
        """Shape `(101,)`; NaN where there is nothing to be found."""
        return _share(self.right, np.full(len(SCORES), self.truths))

    @property
    def f1(self) -> Floats:
        """Shape `(101,)`; the harmonic mean of both, NaN where there is nothing to be found."""
        return _share(2 * self.right, self.detections + self.truths) if self.truths else self.recall


def score_curve(scores: Floats, right: Booleans, truths: int) -> ScoreCurve:
    """The curve of detections that count.

    Args:
        scores: Shape `(D,)`.
        right: Shape `(D,)`, whether each found a box.
        truths: Boxes to be found.
    """

    def from_score(of: Floats) -> Integers:
        return np.asarray(len(of) - np.searchsorted(np.sort(of), SCORES, side="left"), np.int64)

    return ScoreCurve(from_score(scores), from_score(scores[right]), truths)


def average_precision(scores: Floats, right: Booleans, truths: int) -> float | None:
    """COCO's average precision at the one IoU at which detections were called right; None where nothing is to be found.

    The mean, over the recalls 0, 0.01, ..., 1, of the greatest precision that is reached there or later.
    """
    if not truths:
        return None
    hits = np.cumsum(right[np.argsort(-scores, kind="stable")])
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(hits / truths, _RECALLS, side="left")].mean())


def _share(part: Integers, whole: Integers) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))
