# SPDX-License-Identifier: Apache-2.0
"""How far mAP would move with other test images: the bootstrap over images.

Images are drawn with replacement and every average precision is computed again. A detection's match never depends on
another image, so a resample only weighs images, and COCO's sums are taken over weighted matches; nothing is matched
twice. The tests compare this with evaluating the drawn images themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training_src.evaluation.boxes import Floats
from training_src.evaluation.coco import IOU_THRESHOLDS, RECALLS, ClassMatches, Matches
from training_src.evaluation.errors import EvaluationError

RESAMPLES = 1000
SEED = 17
# Resamples that are computed at once: bounds the memory to this many numbers for each detection of a class.
_AT_ONCE = 100


@dataclass(frozen=True)
class Resampled:
    """Metrics of `B` resamples of the same images; NaN where a resample has no box of the class.

    Two models' resamples of the same images with the same seed drew the same images: their differences are paired.

    Attributes:
        mean_ap: Shape `(B,)`.
        mean_ap_50: Shape `(B,)`.
        ap: By label-map id, shape `(B,)`.
        ap_50: By label-map id, shape `(B,)`.
    """

    mean_ap: Floats
    mean_ap_50: Floats
    ap: Mapping[int, Floats]
    ap_50: Mapping[int, Floats]


@dataclass(frozen=True)
class Difference:
    """A challenger's metric minus the champion's over paired resamples.

    Attributes:
        standard_deviation: Of the difference.
        lower: The 5 % quantile.
        upper: The 95 % quantile.
        probability_better: Share of resamples in which the challenger is ahead.
    """

    standard_deviation: float
    lower: float
    upper: float
    probability_better: float


def bootstrap(matches: Matches, resamples: int = RESAMPLES, seed: int = SEED) -> Resampled:
    """Average precision in `resamples` draws of as many images as there are."""
    if matches.images == 0:
        raise EvaluationError("bootstrap: there are no images to draw from")
    draws = np.random.default_rng(seed).multinomial(
        matches.images, np.full(matches.images, 1 / matches.images), size=resamples
    )
    return weighted(matches, draws)


def weighted(matches: Matches, weights: NDArray[np.int64]) -> Resampled:
    """Average precision when each image counts as often as `weights`, shape `(B, N)`, says."""
    ap: dict[int, Floats] = {}
    ap_50: dict[int, Floats] = {}
    for number, found in matches.classes.items():
        parts = [_average_precision(found, weights[at : at + _AT_ONCE]) for at in range(0, len(weights), _AT_ONCE)]
        curves = np.concatenate(parts)
        ap[number], ap_50[number] = curves.mean(axis=1), curves[:, 0]
    return Resampled(_mean(ap), _mean(ap_50), ap, ap_50)


def standard_deviation(samples: Floats) -> float | None:
    """Standard deviation over the resamples that know the metric; None with fewer than two."""
    known = samples[np.isfinite(samples)]
    return float(known.std(ddof=1)) if len(known) > 1 else None


def difference(challenger: Floats, champion: Floats) -> Difference | None:
    """Challenger minus champion, resample by resample; None where fewer than two resamples know both."""
    change = challenger - champion
    change = change[np.isfinite(change)]
    if len(change) < 2:
        return None
    lower, upper = np.quantile(change, [0.05, 0.95])
    return Difference(float(change.std(ddof=1)), float(lower), float(upper), float((change > 0).mean()))


def _average_precision(found: ClassMatches, weights: NDArray[np.int64]) -> Floats:
    """COCO's interpolated average precision at each IoU threshold, shape `(B, T)`; NaN without a box to be found.

    Only detections that found a box can raise the interpolated precision, so the curve is followed on these alone. A
    found box that counts several times adds several points, of which the last has the greatest precision and recall.
    """
    truths = weights @ found.truths
    seen = np.cumsum(weights[:, found.image_index], axis=1)
    result = np.zeros((len(weights), len(IOU_THRESHOLDS)))
    for at in range(len(IOU_THRESHOLDS)):
        hits = np.flatnonzero(found.matched[at])
        if not len(hits):
            continue
        true = np.cumsum(weights[:, found.image_index[hits]], axis=1)
        counted = seen[:, hits] - _ignored_before(found, weights, at, hits)
        precision = true / np.maximum(counted, 1)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = true / np.maximum(truths, 1)[:, None]
        reached = np.searchsorted(RECALLS, recall, side="right") * (true > 0)
        result[:, at] = (envelope * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(RECALLS)
    return np.where((truths > 0)[:, None], result, np.nan)


def _ignored_before(
    found: ClassMatches, weights: NDArray[np.int64], at: int, hits: NDArray[np.intp]
) -> NDArray[np.int64]:
    """How many detections ranked before each hit count as nothing, shape `(B, hits)`."""
    ignored = np.flatnonzero(found.ignored[at])
    total = np.cumsum(weights[:, found.image_index[ignored]], axis=1)
    total = np.concatenate([np.zeros((len(weights), 1), np.int64), total], axis=1)
    return total[:, np.searchsorted(ignored, hits)]


def _mean(classes: Mapping[int, Floats]) -> Floats:
    """Mean over the classes that a resample knows; NaN where it knows none."""
    values = np.stack(list(classes.values()))
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
