# SPDX-License-Identifier: Apache-2.0
"""One class's COCO numbers where images have weights: a resample in which an image was drawn twice counts it twice.

Everything is computed for all resamples at once, a row of them for each detection: `B` is the last axis. The tests
compare the numbers with those of the drawn images themselves.
"""

import numpy as np

from training_src.evaluation.boxes import Booleans, Floats, Integers
from training_src.evaluation.matches import IOU_THRESHOLDS, MAXIMUM_DETECTIONS, RECALLS, ClassMatches, SizeMatches

# Numbers in an array at once: bounds the memory.
AT_ONCE = 5_000_000


def class_metrics(found: ClassMatches, size: str, weights: Floats) -> dict[str, Floats]:
    """The metrics that ask for boxes of one size, each of shape `(B,)`, by the names of `coco.CLASS_METRICS`.

    Args:
        found: Of one class.
        size: One of `matches.SIZES`.
        weights: Shape `(N, B)`, how often each image counts.
    """
    sized = found.sizes[size]
    truths = np.bincount(sized.truth_images, minlength=found.images).astype(np.float64) @ weights
    precision = _average_precision(found, sized, weights, truths)
    thresholds = sized.matched.sum(axis=0).astype(np.float64)

    def recall(most: int) -> Floats:
        first = np.where(found.rank < most, thresholds, 0.0)
        hits = np.bincount(found.image_index, first, found.images) @ weights
        return _share(hits, truths * len(IOU_THRESHOLDS))

    if size != "all":
        return {f"AP_{size}": precision.mean(axis=0), f"AR_{size}": recall(MAXIMUM_DETECTIONS)}
    means = {"AP": precision.mean(axis=0), "AP50": precision[0], "AP75": precision[5]}
    return means | {f"AR_{most}": recall(most) for most in (1, 10, MAXIMUM_DETECTIONS)}


def recall_at(found: ClassMatches, precision: float, weights: Floats) -> Floats:
    """The greatest recall at IoU 0.5 whose interpolated precision is at least so great, shape `(B,)`."""
    hits = np.flatnonzero(found.matched[0])
    true = _accumulated(weights[found.image_index[hits]], np.add)
    seen = _totals(found, ~found.ignored[0], hits, weights)
    reached = np.where(true / np.maximum(seen, 1) >= precision, true, 0.0).max(axis=0, initial=0.0)
    return _share(reached, found.truths @ weights)


def precision_and_recall(found: ClassMatches, score: float, weights: Floats) -> tuple[Floats, Floats]:
    """Of the detections from a score on, at IoU 0.5, each of shape `(B,)`."""
    kept = (found.scores >= score) & ~found.ignored[0]
    counted = np.bincount(found.image_index[kept], minlength=found.images)
    true = np.bincount(found.image_index[kept & found.matched[0]], minlength=found.images)
    hits, seen, truths = np.stack([true, counted, found.truths]).astype(np.float64) @ weights
    return _share(hits, seen), _share(hits, truths)


def _average_precision(found: ClassMatches, sized: SizeMatches, weights: Floats, truths: Floats) -> Floats:
    """COCO's interpolated average precision, shape `(T, B)`; NaN without a box to be found.

    Only detections that found a box can raise the interpolated precision, so the curve is followed on these alone. A
    found box that counts several times adds several points, of which the last has the greatest precision and recall.

    Args:
        found: Of one class.
        sized: Of boxes of one size.
        weights: Shape `(N, B)`.
        truths: Shape `(B,)`: boxes to be found.
    """
    result = np.zeros((len(IOU_THRESHOLDS), weights.shape[1]))
    useful = np.flatnonzero(sized.matched.any(axis=0))
    step = max(1, AT_ONCE // max(len(useful), 1))
    for begin in range(0, weights.shape[1], step):
        some = slice(begin, begin + step)
        part = weights[:, some] if step < weights.shape[1] else weights
        seen = _totals(found, ~sized.ignored[0], useful, part)
        for at in range(len(IOU_THRESHOLDS)):
            result[at, some] = _interpolated(found, sized, at, (useful, seen), part, truths[some])
    return np.where(truths > 0, result, np.nan)


def _interpolated(
    found: ClassMatches,
    sized: SizeMatches,
    at: int,
    seen: tuple[Integers, Floats],
    weights: Floats,
    truths: Floats,
) -> Floats:
    """Average precision at one threshold, shape `(B,)`.

    Args:
        found: Of one class.
        sized: Of boxes of one size.
        at: Which threshold.
        seen: Rows of detections, and how many count up to each of them at the lowest threshold, shape `(rows, B)`.
        weights: Shape `(N, B)`.
        truths: Shape `(B,)`.
    """
    hits = np.flatnonzero(sized.matched[at])
    if not len(hits):
        return np.zeros(len(truths))
    counted = seen[1][np.searchsorted(seen[0], hits)]
    # What counts at this threshold and not at the lowest, or the other way round: a crowd or another size's box.
    for sign, other in ((1, sized.ignored[0] & ~sized.ignored[at]), (-1, sized.ignored[at] & ~sized.ignored[0])):
        if other.any():
            counted += sign * _totals(found, other, hits, weights)
    true = _accumulated(weights[found.image_index[hits]], np.add)
    precision = np.divide(true, np.maximum(counted, 1, out=counted), out=counted)
    envelope = _accumulated(precision[::-1], np.maximum)[::-1]
    reached = _reached(true, truths)
    reached[1:] -= reached[:-1].copy()
    return np.asarray(np.einsum("hb,hb->b", envelope, reached)) / len(RECALLS)


def _reached(true: Floats, truths: Floats) -> Floats:
    """How many of COCO's recalls so many found boxes of so many reach; shapes `(H, B)` and `(B,)`.

    A hundredth that is met exactly counts where the rounded recall is not below the rounded hundredth.
    """
    hundredths = true * 100.0
    hundredths /= np.maximum(truths, 1)
    whole = np.floor(hundredths)
    exact = np.nonzero(whole == hundredths)
    place = whole[exact].astype(np.int64)
    whole += 1.0
    whole[exact] -= place / 100 < RECALLS[place]
    whole[true == 0] = 0.0
    return whole


def _totals(found: ClassMatches, counting: Booleans, rows: Integers, weights: Floats) -> Floats:
    """How many detections count up to and with each of some rows, shape `(rows, B)`.

    Args:
        found: Of one class, D detections.
        counting: Shape `(D,)`.
        rows: Ascending.
        weights: Shape `(N, B)`.
    """
    images = found.image_index[counting]
    ends = np.cumsum(counting)[rows].tolist()
    totals, total, begin = np.empty((len(rows), weights.shape[1])), np.zeros(weights.shape[1]), 0
    for row, end in zip(totals, ends, strict=True):
        for image in images[begin:end].tolist():
            total += weights[image]
        row[:] = total
        begin = end
    return totals


def _accumulated(rows: Floats, operation: np.ufunc) -> Floats:
    """The rows' running sum or maximum, in place: seven times as fast as `accumulate`, which walks down the columns."""
    before = rows[0] if len(rows) else None
    for row in rows[1:]:
        operation(before, row, out=row)
        before = row
    return rows


def _share(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
