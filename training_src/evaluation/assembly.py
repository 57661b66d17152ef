# SPDX-License-Identifier: Apache-2.0
"""Measured numbers brought together: as evidence for the gate, as evaluation.json, and for the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from training_src.evaluation import schema
from training_src.evaluation.artifact import Artifact
from training_src.evaluation.bootstrap import Resampled, bootstrap, difference, interval, standard_deviation
from training_src.evaluation.boxes import Detections, Floats
from training_src.evaluation.changes import Made, changes
from training_src.evaluation.coco import ClassMetrics, CocoMetrics
from training_src.evaluation.diagnosis import Diagnosis
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.gate import ChampionEvidence, ClassEvidence, Evidence, ParityEvidence, Verdict
from training_src.evaluation.matches import match
from training_src.evaluation.measurements import ChampionMeasurements, Measurement
from training_src.evaluation.pictures import Seen
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
        policy: Who asked for what.
        champion: The champion's archive; None where there is none, or it cannot be read.
    """

    test_set: TestSet
    facts: Mapping[str, Any]
    artifact: Artifact
    model_uri: str | None
    policy: schema.JudgedBy
    champion: Artifact | None = None

    @property
    def sha256(self) -> str:
        """Content hash of the prepared data set."""
        return str(self.facts["sha256"])


@dataclass(frozen=True)
class Dossier:
    """All that the report shows.

    Attributes:
        evaluation: The verdict and its numbers.
        metrics: What lies behind them.
        source: What was evaluated.
        diagnosis: The detections explained.
        seen: Pictures.
        made: When, in UTC.
    """

    evaluation: schema.Evaluation
    metrics: CocoMetrics
    source: Source
    diagnosis: Diagnosis
    seen: Seen
    made: datetime = field(default_factory=lambda: datetime.now(UTC))


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
    return schema.Evaluation(
        dataset=schema.ScoredDataset(
            sha256=source.sha256,
            images=metrics.images,
            boxes=metrics.boxes,
            test_set=source.test_set.digest,
            refused=dict(refused),
        ),
        model=_model(source),
        metrics=_estimates(challenger),
        per_class={one.name: _class_result(one, challenger.resampled) for one in metrics.per_class},
        score_threshold=metrics.score,
        champion=_champion(challenger, champion) if champion else None,
        policy=source.policy,
        resources=_resources(chosen),
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
    steps, best_step, seed = (
        value if isinstance(value := training.get(name), int) else None for name in ("steps", "best_step", "seed")
    )
    return schema.Model(
        sha256=source.artifact.sha256,
        uri=source.model_uri,
        architecture=str(source.artifact.description.get("architecture") or "unknown"),
        trained_on=source.artifact.trained_on,
        fingerprint=str(training["fingerprint"]) if training.get("fingerprint") else None,
        steps=steps,
        best_step=best_step,
        seed=seed,
        changes=changes(_made(source.artifact), _made(source.champion)) if source.champion else [],
    )


def _made(artifact: Artifact) -> Made:
    return Made(artifact.description, artifact.pipeline_config)


def _estimates(one: Scored) -> dict[str, schema.Estimate]:
    return {
        name: _estimate(value, one.resampled.metrics[name], one.metrics.reasons.get(name))
        for name, value in one.metrics.values.items()
    }


def _estimate(value: float | None, samples: Floats | None, reason: str | None) -> schema.Estimate:
    """With its interval, where it was resampled; nothing is known of how far an unknown value moves."""
    ends = None if samples is None or value is None else interval(samples)
    if samples is None or ends is None:
        return schema.Estimate(value=value, reason=reason)
    deviation = standard_deviation(samples)
    return schema.Estimate(value=value, standard_deviation=deviation, lower=ends[0], upper=ends[1], reason=reason)


def _class_result(one: ClassMetrics, resampled: Resampled) -> schema.ClassResult:
    reason = None if one.support else f'the test set has no box of class "{one.name}"'
    samples = resampled.per_class[one.id]

    def estimate(name: str) -> schema.Estimate:
        unknown = reason or f'class "{one.name}" has no such box in the test set'
        return _estimate(one.values[name], samples[name], unknown if one.values[name] is None else None)

    return schema.ClassResult(
        id=one.id,
        support=one.support,
        support_images=one.support_images,
        AP=estimate("AP"),
        AP50=estimate("AP50"),
        AP75=estimate("AP75"),
        AR_100=estimate("AR_100"),
        AP_small=estimate("AP_small"),
        AP_medium=estimate("AP_medium"),
        AP_large=estimate("AP_large"),
    )


def _champion(challenger: Scored, champion: ScoredChampion) -> schema.Compared:
    scored = champion.scored
    if scored is None:
        return schema.Compared(
            runtime=champion.runtime, metrics={}, change={}, reason=champion.reason, waiver=champion.waiver
        )
    speed, untimed = scored.measurement.timings.images_per_second, scored.measurement.untimed
    ours, theirs = challenger.resampled.per_class, scored.resampled.per_class
    classes = zip(challenger.metrics.per_class, scored.metrics.per_class, strict=True)
    return schema.Compared(
        runtime=champion.runtime,
        metrics=_estimates(scored),
        images_per_second=schema.Estimate(value=speed, reason=untimed),
        change={
            name: _change(value, scored.metrics[name], challenger.resampled.metrics[name], samples)
            for (name, value), samples in zip(
                challenger.metrics.values.items(), scored.resampled.metrics.values(), strict=True
            )
        },
        per_class_change={
            one.name: _change(one.values["AP"], other.values["AP"], ours[one.id]["AP"], theirs[one.id]["AP"])
            for one, other in classes
        },
    )


def _change(ours: float | None, theirs: float | None, samples: Floats, others: Floats) -> schema.Change:
    if ours is None or theirs is None:
        return schema.Change(value=None)
    found = difference(samples, others)
    return schema.Change(value=ours - theirs, **(vars(found) if found else {}))


def _resources(chosen: Candidate) -> schema.Resources:
    timings = chosen.measurement.timings
    latencies = {name: value for name, value in timings.latency_milliseconds.items() if value is not None}
    return schema.Resources(resident_megabytes=timings.resident_megabytes, latency_milliseconds=latencies)


def _runtime(one: Candidate) -> schema.RuntimeResult:
    measured = one.measurement
    timings = measured.timings.model_dump()
    return schema.RuntimeResult(mAP=one.metrics["mAP"], parity=_parity(one), untimed=measured.untimed, **timings)


def _parity(one: Candidate) -> schema.ParityResult | None:
    if one.parity is None:
        return None
    return schema.ParityResult(equal=one.equal, mAP_difference=one.mean_ap_difference, **vars(one.parity))
