# SPDX-License-Identifier: Apache-2.0
"""Measured numbers brought together: as evidence for the gate, as evaluation.json, and for the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training_src.evaluation import schema
from training_src.evaluation.artifact import Artifact
from training_src.evaluation.bootstrap import Resampled, bootstrap, difference, standard_deviation
from training_src.evaluation.boxes import Detections, Floats
from training_src.evaluation.coco import ClassMetrics, CocoMetrics
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.gate import ChampionEvidence, ClassEvidence, Evidence, ParityEvidence, Verdict
from training_src.evaluation.matches import match
from training_src.evaluation.measurements import ChampionMeasurements, Measurement
from training_src.evaluation.pictures import Gallery
from training_src.evaluation.serving import Candidate, choose, scored
from training_src.evaluation.test_set import TestSet


@dataclass(frozen=True)
class Scored:
    """The answers that count, their metrics, and how these move with other test images."""

    measurement: Measurement
    metrics: CocoMetrics
    resampled: Resampled


@dataclass(frozen=True)
class ScoredChampion:
    """What serves now: scored, or the reason why it could not be, and an administrator's word to go on without it."""

    runtime: str | None
    scored: Scored | None
    reason: str | None
    waiver: str | None = None


@dataclass(frozen=True)
class Source:
    """What was evaluated on what.

    Attributes:
        test_set: The test images.
        facts: `dataset.json`.
        artifact: The challenger's archive.
        model_uri: Where it was read from.
    """

    test_set: TestSet
    facts: Mapping[str, Any]
    artifact: Artifact
    model_uri: str | None

    @property
    def sha256(self) -> str:
        """Content hash of the prepared data set."""
        return str(self.facts["sha256"])


@dataclass(frozen=True)
class Dossier:
    """All that the report shows."""

    evaluation: schema.Evaluation
    metrics: CocoMetrics
    source: Source
    galleries: Sequence[Gallery]


def score(chosen: Candidate, test_set: TestSet, labels: Mapping[int, str]) -> Scored:
    """Resample the chosen runtime's matches."""
    matches = match(test_set.truth, chosen.measurement.detections, labels)
    return Scored(chosen.measurement, chosen.metrics, bootstrap(matches))


def score_champion(
    measured: ChampionMeasurements | None,
    recorded: str | None,
    test_set: TestSet,
    labels: Mapping[int, str],
    waiver: str | None = None,
) -> ScoredChampion | None:
    """The champion on the same images, in the runtime by which it serves; None when nothing serves yet.

    Args:
        measured: Its answers, from the server or from its SavedModel.
        recorded: The runtime that its version records, where that is known; else the fastest one counts.
        test_set: The present test images.
        labels: The present label map.
        waiver: Why an administrator lets it go, whose artifact is gone.
    """
    if measured is None:
        if recorded is None:
            return None
        missing = "its artifact is gone" if waiver else "its detections are missing among the measurements"
        return ScoredChampion(recorded, None, missing, waiver)
    runtime = recorded or measured.runtime
    if measured.reason is not None:
        return ScoredChampion(runtime, None, measured.reason)
    try:
        translated = {name: _translated(one, measured.label_map, labels) for name, one in measured.runtimes.items()}
        chosen = choose({name: scored(one, test_set.truth, labels) for name, one in translated.items()}, runtime)
        return ScoredChampion(chosen.measurement.runtime, score(chosen, test_set, labels), None)
    except EvaluationError as error:
        return ScoredChampion(runtime, None, str(error).rstrip("."))


def _translated(one: Measurement, theirs: Mapping[int, str] | None, ours: Mapping[int, str]) -> Measurement:
    """The champion's detections by the present label map's ids; those of classes that it has no more are left out."""
    if theirs is None or dict(theirs) == dict(ours):
        return one
    ids = {name: number for number, name in ours.items()}
    renamed = np.array([ids.get(theirs.get(int(number), ""), 0) for number in one.detections.classes], np.int64)
    kept = renamed > 0
    found = one.detections
    detections = Detections(found.image_index[kept], found.boxes[kept], found.scores[kept], renamed[kept])
    return replace(one, detections=detections)


def evidence(
    challenger: Scored, served: Candidate, champion: ScoredChampion | None, measured_model: str | None, source: Source
) -> Evidence:
    """The numbers that the gate looks at."""
    metrics = challenger.metrics
    classes = {one.name: ClassEvidence(one.values, one.support) for one in metrics.per_class}
    theirs = None
    if champion is not None:
        scored = champion.scored
        theirs = ChampionEvidence(
            metrics=scored.metrics.values if scored else {},
            test_set=scored.measurement.test_set if scored else None,
            reason=champion.reason,
            waiver=champion.waiver,
        )
    parity = None
    if served.parity is not None:
        parity = ParityEvidence(challenger.measurement.runtime, served.parity.matched, served.mean_ap_difference)
    return Evidence(
        test_set=source.test_set.digest,
        scored=challenger.measurement.test_set,
        model=source.artifact.measured_as,
        measured=measured_model,
        dataset=source.sha256,
        trained_on=source.artifact.trained_on,
        images=metrics.images,
        metrics=metrics.values,
        classes=classes,
        champion=theirs,
        parity=parity,
    )


def evaluation(
    challenger: Scored,
    measured: Mapping[str, Candidate],
    champion: ScoredChampion | None,
    verdict: Verdict,
    source: Source,
    refused: Mapping[str, str],
) -> schema.Evaluation:
    """What evaluation.json says."""
    metrics = challenger.metrics
    chosen = measured[challenger.measurement.runtime]
    deviations = {
        "mAP": standard_deviation(challenger.resampled.metrics["mAP"]),
        "mAP_50": standard_deviation(challenger.resampled.metrics["mAP_50"]),
    }
    return schema.Evaluation(
        dataset=schema.ScoredDataset(
            sha256=source.sha256,
            images=metrics.images,
            boxes=metrics.boxes,
            test_set=source.test_set.digest,
            refused=dict(refused),
        ),
        model=_model(source),
        metrics=_estimates(metrics, deviations),
        per_class={one.name: _class_result(one, challenger.resampled) for one in metrics.per_class},
        score_threshold=metrics.score,
        champion=_champion(challenger, champion) if champion else None,
        serving=schema.Serving(
            runtime=chosen.measurement.runtime,
            precision=chosen.measurement.timings.precision,
            parity=_parity(chosen),
            runtimes={name: _runtime(one) for name, one in measured.items()},
        ),
        gate=schema.Gate.of(verdict),
    )


def _model(source: Source) -> schema.Model:
    training = source.artifact.training
    whole = {name: training.get(name) for name in ("steps", "best_step", "seed")}
    return schema.Model(
        sha256=source.artifact.sha256,
        uri=source.model_uri,
        architecture=str(source.artifact.description.get("architecture") or "unknown"),
        trained_on=source.artifact.trained_on,
        fingerprint=str(training["fingerprint"]) if training.get("fingerprint") else None,
        **{name: value if isinstance(value, int) else None for name, value in whole.items()},
    )


def _estimates(metrics: CocoMetrics, deviations: Mapping[str, float | None]) -> dict[str, schema.Estimate]:
    return {
        name: schema.Estimate(value=value, standard_deviation=deviations.get(name), reason=metrics.reasons.get(name))
        for name, value in metrics.values.items()
    }


def _class_result(one: ClassMetrics, resampled: Resampled) -> schema.ClassResult:
    reason = None if one.support else f'the test set has no box of class "{one.name}"'

    def estimate(name: str, samples: Floats | None = None) -> schema.Estimate:
        deviation = standard_deviation(samples) if samples is not None and reason is None else None
        return schema.Estimate(value=one.values[name], standard_deviation=deviation, reason=reason)

    return schema.ClassResult(
        id=one.id,
        support=one.support,
        support_images=one.support_images,
        AP=estimate("AP", resampled.per_class[one.id]["AP"]),
        AP50=estimate("AP50", resampled.per_class[one.id]["AP50"]),
        AP75=estimate("AP75"),
        AR_100=estimate("AR_100"),
    )


def _champion(challenger: Scored, champion: ScoredChampion) -> schema.Champion:
    scored = champion.scored
    if scored is None:
        return schema.Champion(
            runtime=champion.runtime, metrics={}, change={}, reason=champion.reason, waiver=champion.waiver
        )
    deviations = {name: standard_deviation(scored.resampled.metrics[name]) for name in ("mAP", "mAP_50")}
    speed, untimed = scored.measurement.timings.images_per_second, scored.measurement.untimed
    return schema.Champion(
        runtime=champion.runtime,
        metrics=_estimates(scored.metrics, deviations),
        images_per_second=schema.Estimate(value=speed, reason=untimed),
        change={"mAP": _change(challenger, scored, "mAP"), "mAP_50": _change(challenger, scored, "mAP_50")},
    )


def _change(challenger: Scored, champion: Scored, name: str) -> schema.Change:
    ours, theirs = challenger.metrics[name], champion.metrics[name]
    if ours is None or theirs is None:
        return schema.Change(value=None)
    found = difference(challenger.resampled.metrics[name], champion.resampled.metrics[name])
    return schema.Change(value=ours - theirs, **(vars(found) if found else {}))


def _runtime(one: Candidate) -> schema.RuntimeResult:
    measured = one.measurement
    timings = measured.timings.model_dump()
    return schema.RuntimeResult(mAP=one.metrics["mAP"], parity=_parity(one), untimed=measured.untimed, **timings)


def _parity(one: Candidate) -> schema.ParityResult | None:
    if one.parity is None:
        return None
    return schema.ParityResult(equal=one.equal, mAP_difference=one.mean_ap_difference, **vars(one.parity))
