# SPDX-License-Identifier: Apache-2.0
"""How far every metric would move with other test images: the bootstrap over images, or over groups of images.

Images are drawn with replacement and every metric is computed again. A detection's match never depends on another
image, so a resample only weighs images; nothing is matched twice. Where images belong together, as those of a drive do,
whole groups are drawn: else an interval would be narrower than what is known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training_src.evaluation.boxes import Floats, Integers
from training_src.evaluation.coco import CLASS_METRICS, METRICS
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.matches import SIZES, ClassMatches, Matches
from training_src.evaluation.weighted_metrics import AT_ONCE, class_metrics, precision_and_recall, recall_at

RESAMPLES = 1000
SEED = 17
# The ends of an interval.
QUANTILES = (0.05, 0.95)

Draws = NDArray[np.unsignedinteger]
"""Shape `(B, N)`: how often each of N images counts in each of B resamples."""


@dataclass(frozen=True)
class Resampled:
    """Metrics of `B` resamples of the same images; NaN where a resample has no box that the metric asks for.

    Two models' resamples by the same draws are paired: their differences say how sure a difference is.

    Attributes:
        draws: Shape `(B, N)`, by which the images were weighed.
        metrics: Shape `(B,)` by the names of `coco.METRICS`, such as `mAP_50`.
        per_class: By label-map id, then by the names of `coco.CLASS_METRICS`, such as `AP50`: shape `(B,)`.
    """

    draws: Draws
    metrics: Mapping[str, Floats]
    per_class: Mapping[int, Mapping[str, Floats]]


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


def bootstrap(
    matches: Matches, *, groups: Integers | None = None, resamples: int = RESAMPLES, seed: int = SEED
) -> Resampled:
    """Every metric in `resamples` draws of as many images, or groups, as there are.

    Args:
        matches: Of the model's detections.
        groups: Shape `(N,)`, the number of each image's group; None: each image is drawn by itself.
        resamples: How many, B.
        seed: The same seed and groups draw the same images.

    Raises:
        EvaluationError: There are no images.
    """
    return weighted(matches, draw(matches.images, groups=groups, resamples=resamples, seed=seed))


def draw(images: int, *, groups: Integers | None = None, resamples: int = RESAMPLES, seed: int = SEED) -> Draws:
    """How often each image counts in each resample, shape `(B, N)`; see `bootstrap`."""
    if images == 0:
        raise EvaluationError("bootstrap: there are no images to draw from")
    position, units = np.arange(images), images
    if groups is not None:
        if groups.shape != (images,):
            raise EvaluationError(f"bootstrap: groups have the shape {groups.shape} for {images} images")
        names, position = np.unique(groups, return_inverse=True)
        units = len(names)
    random, share = np.random.default_rng(seed), np.full(units, 1 / units)
    # Each is drawn at most as often as there are units.
    draws = np.empty((resamples, images), np.min_scalar_type(units))
    for part in _parts(resamples, units):
        draws[part] = random.multinomial(units, share, size=part.stop - part.start)[:, position]
    return draws


def weighted(matches: Matches, draws: Draws | Integers, sizes: Iterable[str] = SIZES) -> Resampled:
    """Every metric when each image counts as often as the draws say.

    Args:
        matches: Of a model's detections; `Matches.subset` gives those of a slice.
        draws: Shape `(B, N)`, such as another model's `Resampled.draws`.
        sizes: For boxes of which sizes; `("all",)` leaves out the metrics that ask for small, medium or large ones, and
            takes half as long.
    """
    sizes = tuple(sizes)
    names = [name for name in CLASS_METRICS if (name[3:] if name[3:] in SIZES else "all") in sizes]
    per_class = {number: {name: np.empty(len(draws)) for name in names} for number in matches.classes}
    for part in _parts(len(draws), matches.images):
        weights = np.ascontiguousarray(draws[part].T, np.float64)
        for number, found in matches.classes.items():
            for size in sizes:
                for name, samples in class_metrics(found, size, weights).items():
                    per_class[number][name][part] = samples
    overall = {
        name: _mean([samples[one] for samples in per_class.values()])
        for name, one in zip(METRICS, CLASS_METRICS, strict=True)
        if one in names
    }
    return Resampled(np.asarray(draws), overall, per_class)


def mean_over(resampled: Resampled, classes: Iterable[int], name: str) -> Floats:
    """The mean over some classes in each resample, shape `(B,)`: COCO's own where all classes are named.

    Classes that a resample does not know are left out; NaN where it knows none.

    Args:
        resampled: Of a model.
        classes: Label-map ids, such as those that another model has too.
        name: One of `coco.CLASS_METRICS`.
    """
    unknown = np.full(len(resampled.draws), np.nan)
    return _mean([unknown, *(resampled.per_class[number][name] for number in classes)])


def interval(samples: Floats) -> tuple[float, float] | None:
    """The 5 % and the 95 % quantile of the resamples that know the metric; None with fewer than two."""
    known = samples[np.isfinite(samples)]
    if len(known) < 2:
        return None
    lower, upper = np.quantile(known, QUANTILES)
    return float(lower), float(upper)


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
    lower, upper = np.quantile(change, QUANTILES)
    return Difference(float(change.std(ddof=1)), float(lower), float(upper), float((change > 0).mean()))


def recall_at_precision(found: ClassMatches, precision: float, draws: Draws | Integers) -> Floats:
    """The greatest recall at IoU 0.5 whose interpolated precision is at least so great, shape `(B,)`.

    0 where no score gives that precision, NaN where a resample has no box of the class. The value without a bootstrap
    is that of the single draw `np.ones((1, N), int)`.

    Args:
        found: Of one class, `matches.classes[id]`.
        precision: From 0 to 1.
        draws: Shape `(B, N)`, such as `Resampled.draws`.
    """
    result = np.empty(len(draws))
    for part in _parts(len(draws), max(found.images, int(found.matched[0].sum()))):
        result[part] = recall_at(found, precision, np.ascontiguousarray(draws[part].T, np.float64))
    return result


def at_score(found: ClassMatches, score: float, draws: Draws | Integers) -> tuple[Floats, Floats]:
    """Precision and recall at IoU 0.5 of the detections from a score on, each of shape `(B,)`.

    Precision is NaN where a resample has none of them, recall where it has no box of the class; 1 minus recall is the
    share of boxes that are missed. The values without a bootstrap are those of the single draw `np.ones((1, N), int)`.
    """
    result = np.empty((2, len(draws)))
    for part in _parts(len(draws), found.images):
        result[:, part] = precision_and_recall(found, score, np.ascontiguousarray(draws[part].T, np.float64))
    return result[0], result[1]


def _mean(classes: Sequence[Floats]) -> Floats:
    """Mean over the classes that a resample knows; NaN where it knows none."""
    values = np.stack(classes)
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _parts(count: int, width: int) -> Iterator[slice]:
    """Ranges of rows, about equally many, of which each has `AT_ONCE` numbers at most where a row has no more."""
    parts = -(-count * width // AT_ONCE)
    step = max(1, -(-count // max(parts, 1)))
    for begin in range(0, count, step):
        yield slice(begin, min(begin + step, count))
