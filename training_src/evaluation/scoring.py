# SPDX-License-Identifier: Apache-2.0
"""A model's answers with their metrics, and how these move with other test images, as evaluation.json says it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from training_src.evaluation import schema
from training_src.evaluation.bootstrap import (
    Draws,
    Resampled,
    at_score,
    difference,
    interval,
    standard_deviation,
    weighted,
)
from training_src.evaluation.boxes import Floats
from training_src.evaluation.coco import CLASS_METRICS, METRICS, ClassMetrics, CocoMetrics
from training_src.evaluation.matches import Matches, match
from training_src.evaluation.measurements import Measurement
from training_src.evaluation.rules import Estimate
from training_src.evaluation.serving import Candidate
from training_src.evaluation.test_set import TestSet

CLASS_METRIC = dict(zip(METRICS, CLASS_METRICS, strict=True))
"""Of which numbers of a class each of COCO's is the mean."""


@dataclass(frozen=True)
class Scored:
    """The answers that count, their metrics, how they were matched, and how the metrics move with other test images."""

    measurement: Measurement
    metrics: CocoMetrics
    matches: Matches
    resampled: Resampled


def score(chosen: Candidate, test_set: TestSet, labels: Mapping[int, str], draws: Draws) -> Scored:
    """Weigh the chosen runtime's matches by draws of the test images; the same draws pair two models."""
    matches = match(test_set.truth, chosen.measurement.detections, labels)
    return Scored(chosen.measurement, chosen.metrics, matches, weighted(matches, draws))


def estimated(value: float | None, samples: Floats) -> Estimate:
    """A number with its interval, for the gate; an unknown one has none."""
    ends = None if value is None else interval(samples)
    return Estimate(value) if ends is None else Estimate(value, *ends)


def estimate(value: float | None, samples: Floats, reason: str | None = None) -> schema.Estimate:
    """The same for evaluation.json.

    Args:
        value: The number; None where it is unknown.
        samples: Shape `(B,)`, of the draws.
        reason: Why it is unknown, where it is.
    """
    if value is None:
        return schema.Estimate(value=None, reason=reason or "it cannot be computed from these test images")
    lower, upper = interval(samples) or (None, None)
    deviation = standard_deviation(samples)
    return schema.Estimate(value=value, standard_deviation=deviation, lower=lower, upper=upper)


def estimates(metrics: CocoMetrics, resampled: Resampled) -> dict[str, schema.Estimate]:
    """All of COCO's numbers for evaluation.json."""
    return {
        name: estimate(value, resampled.metrics[name], metrics.reasons.get(name))
        for name, value in metrics.values.items()
    }


def class_result(one: ClassMetrics, scored: Scored) -> schema.ClassResult:
    """One class's numbers for evaluation.json."""
    samples, found = scored.resampled.per_class[one.id], scored.matches.classes[one.id]
    whole = np.ones((1, scored.matches.images), np.uint8)
    at_threshold = zip(
        at_score(found, scored.metrics.score, whole),
        at_score(found, scored.metrics.score, scored.resampled.draws),
        strict=True,
    )
    (precision, precisions), (recall, recalls) = ((float(value[0]), drawn) for value, drawn in at_threshold)
    missing = "" if one.support else f'the test set has no box of class "{one.name}"'

    def of(name: str) -> schema.Estimate:
        return estimate(one.values[name], samples[name], missing or f'class "{one.name}" has no box of this size')

    nothing = f'no detection of class "{one.name}" reaches the score of {scored.metrics.score:.2f}'
    return schema.ClassResult(
        id=one.id,
        support=one.support,
        support_images=one.support_images,
        AP=of("AP"),
        AP50=of("AP50"),
        AP75=of("AP75"),
        AR_100=of("AR_100"),
        AP_small=of("AP_small"),
        AP_medium=of("AP_medium"),
        AP_large=of("AP_large"),
        precision_at_threshold=estimate(_finite(precision), precisions, nothing),
        recall_at_threshold=estimate(_finite(recall), recalls, missing),
        missed=None
        if missing
        else schema.Missed(count=round((1 - recall) * one.support), share=min(max(1 - recall, 0.0), 1.0)),
    )


def change(ours: float | None, theirs: float | None, samples: Floats, others: Floats) -> schema.Change:
    """A model's number minus another's over paired draws; unknown where either is."""
    if ours is None or theirs is None:
        return schema.Change(value=None)
    found = difference(samples, others)
    return schema.Change(value=ours - theirs, **(vars(found) if found else {}))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
