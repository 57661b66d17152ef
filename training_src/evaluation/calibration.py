# SPDX-License-Identifier: Apache-2.0
"""Whether scores can be taken as probabilities: of detections with the score 0.8, are eight in ten right?

The expected calibration error of https://arxiv.org/abs/1706.04599, of detections instead of whole images.
"""

from dataclasses import dataclass

import numpy as np

from training_src.evaluation.boxes import Booleans, Floats

BINS = 10
# Detectors answer many boxes of which they think next to nothing; with them every detector would look well calibrated.
LEAST_SCORE = 0.1


@dataclass(frozen=True)
class Bin:
    """Detections whose scores lie from `lower` to below `upper` (the last bin holds 1, too).

    Attributes:
        count: How many they are.
        score: Their mean score; None where there are none.
        precision: The share of them that found a box at IoU 0.5.
    """

    lower: float
    upper: float
    count: int
    score: float | None
    precision: float | None


@dataclass(frozen=True)
class Calibration:
    """Bins of equal width, and how far score and precision are apart on average.

    Attributes:
        bins: From `LEAST_SCORE` on, in rising order.
        error: The mean of |precision - score| over the bins, weighted by their detections; None without detections.
        bias: The same with its sign: above 0 the scores promise too little, below 0 too much.
    """

    bins: tuple[Bin, ...]
    error: float | None
    bias: float | None


def calibration(scores: Floats, right: Booleans) -> Calibration:
    """Compare scores with what became of them.

    Args:
        scores: Shape `(D,)`, 0 to 1, of detections that count.
        right: Shape `(D,)`, whether each found a box.
    """
    kept = scores >= LEAST_SCORE
    scores, right = scores[kept], right[kept]
    edges = np.linspace(0.0, 1.0, BINS + 1)
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, BINS - 1)
    found = []
    for at in range(round(LEAST_SCORE * BINS), BINS):
        mine = place == at
        count = int(mine.sum())
        means = (float(scores[mine].mean()), float(right[mine].mean())) if count else (None, None)
        found.append(Bin(float(edges[at]), float(edges[at + 1]), count, *means))
    if not len(scores):
        return Calibration(tuple(found), None, None)
    gaps = [
        (one.count, one.precision - one.score) for one in found if one.precision is not None and one.score is not None
    ]
    error = sum(count * abs(gap) for count, gap in gaps) / len(scores)
    return Calibration(tuple(found), error, sum(count * gap for count, gap in gaps) / len(scores))
