# SPDX-License-Identifier: Apache-2.0
"""Measured numbers brought together: as evidence for the gate, as evaluation.json, and for the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from training_src.evaluation import schema
from training_src.evaluation.artifact import Artifact
from training_src.evaluation.bootstrap import recall_at_precision
from training_src.evaluation.changes import Made, changes
from training_src.evaluation.coco import CocoMetrics
from training_src.evaluation.compared import OtherModel, compared, compared_evidence
from training_src.evaluation.diagnosis import Diagnosis
from training_src.evaluation.gate import ClassEvidence, Evidence, ParityEvidence, ResourceEvidence, Verdict
from training_src.evaluation.judged_by import Rules
from training_src.evaluation.measurements import Measurements
from training_src.evaluation.notes import notes
from training_src.evaluation.pictures import Seen
from training_src.evaluation.policy import GatePolicy
from training_src.evaluation.resolution import resolution
from training_src.evaluation.rules import Estimate
from training_src.evaluation.scoring import Scored, class_result, estimated, estimates
from training_src.evaluation.serving import Candidate
from training_src.evaluation.slices import Slice, slice_evidence, slice_results
from training_src.evaluation.test_images import ScoredImages
from training_src.evaluation.test_set import TestSet


@dataclass(frozen=True)
class Source:
    """What was evaluated on what.

    Attributes:
        test_set: The test images that were scored.
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
class Results:
    """What was found.

    Attributes:
        images: The test images that were scored, and what was left out of them.
        rules: By whose rules.
        challenger: What will be served.
        served: The runtime that will serve it.
        runtimes: All that were measured, and the SavedModel.
        champion: None where nothing serves yet.
        best: None where no other version ever served, or the champion is it.
        slices: Parts of the test set.
        measured: What MeasureServing left.
        overlap: How many test images belong to the champion's test set; None where that is not known.
        unlearnt: Boxes to be found of classes that the test set asks for and the challenger has not, by name.
    """

    images: ScoredImages
    rules: Rules
    challenger: Scored
    served: Candidate
    runtimes: Mapping[str, Candidate]
    champion: OtherModel | None
    best: OtherModel | None
    slices: Mapping[str, Slice]
    measured: Measurements
    overlap: int | None = None
    unlearnt: Mapping[str, int] = field(default_factory=dict)


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


def evidence(found: Results, source: Source) -> Evidence:
    """The numbers that the gate looks at."""
    challenger, served, policy = found.challenger, found.served, found.rules.policy
    metrics = challenger.metrics
    parity = None
    if served.parity is not None:
        parity = ParityEvidence(challenger.measurement.runtime, served.parity.matched, served.mean_ap_difference)
    dataset, told = _dataset(found, source), resolution(challenger, found.champion, policy)
    champion = found.champion.classes if found.champion else None
    return Evidence(
        test_set=source.test_set.digest,
        scored=challenger.measurement.test_set,
        model=source.artifact.measured_as,
        measured=found.measured.model,
        dataset=source.sha256,
        trained_on=source.artifact.trained_on,
        images=metrics.images,
        metrics={name: estimated(value, challenger.resampled.metrics[name]) for name, value in metrics.values.items()},
        classes=_classes(challenger, policy),
        champion=compared_evidence(challenger, found.champion) if found.champion else None,
        parity=parity,
        best=compared_evidence(challenger, found.best) if found.best else None,
        slices=slice_evidence(found.slices),
        resources=_resource_evidence(resources(found, source)),
        left_out=found.images.exclusion.left_out,
        unlearnt=dict(found.unlearnt),
        notes=tuple(notes(dataset, told, policy, champion, found.images.sequences)),
    )


def evaluation(found: Results, verdict: Verdict, source: Source) -> schema.Evaluation:
    """What evaluation.json says."""
    challenger, served = found.challenger, found.served
    metrics = challenger.metrics
    return schema.Evaluation(
        dataset=_dataset(found, source),
        model=_model(source),
        metrics=estimates(metrics, challenger.resampled),
        per_class={one.name: class_result(one, challenger) for one in metrics.per_class},
        slices=slice_results(found.slices),
        score_threshold=metrics.score,
        champion=compared(challenger, found.champion) if found.champion else None,
        best=compared(challenger, found.best) if found.best else None,
        policy=source.policy,
        resolution=resolution(challenger, found.champion, found.rules.policy),
        resources=resources(found, source),
        serving=schema.Serving(
            runtime=served.measurement.runtime,
            precision=served.measurement.timings.precision,
            parity=_parity(served),
            runtimes={name: _runtime(one) for name, one in found.runtimes.items()},
        ),
        gate=schema.Gate.of(verdict),
    )


def resources(found: Results, source: Source) -> schema.Resources:
    """What serving costs."""
    timings = found.served.measurement.timings
    return schema.Resources(
        artifact_megabytes=found.measured.artifact_megabytes or source.artifact.bytes / 2**20 or None,
        resident_megabytes=timings.resident_megabytes,
        latency_milliseconds={name: value for name, value in timings.latency_milliseconds.items() if value is not None},
    )


def _classes(challenger: Scored, policy: GatePolicy) -> dict[str, ClassEvidence]:
    samples = challenger.resampled.per_class
    return {
        one.name: ClassEvidence(
            {name: estimated(value, samples[one.id][name]) for name, value in one.values.items()},
            one.support,
            _recall(challenger, one.id, policy.recall[one.name].precision) if one.name in policy.recall else None,
        )
        for one in challenger.metrics.per_class
    }


def _recall(challenger: Scored, number: int, precision: float) -> Estimate:
    found = challenger.matches.classes[number]
    value = float(recall_at_precision(found, precision, np.ones((1, found.images), np.uint8))[0])
    known = value if np.isfinite(value) else None
    return estimated(known, recall_at_precision(found, precision, challenger.resampled.draws))


def _resource_evidence(found: schema.Resources) -> ResourceEvidence:
    return ResourceEvidence(found.latency_milliseconds.get("p99"), found.resident_megabytes, found.artifact_megabytes)


def _dataset(found: Results, source: Source) -> schema.ScoredDataset:
    metrics, exclusion, shared = found.challenger.metrics, found.images.exclusion, found.overlap
    names = set(source.test_set.truth.source_ids)
    return schema.ScoredDataset(
        sha256=source.sha256,
        images=metrics.images,
        boxes=metrics.boxes,
        test_set=source.test_set.digest,
        refused={name: why for name, why in found.measured.refused.items() if name in names},
        chosen_by=found.rules.chosen_by,
        overlap_with_champion=None if shared is None else schema.Overlap(images=shared, share=shared / metrics.images),
        left_out=schema.LeftOut(images=exclusion.left_out, groups=exclusion.groups, by=dict(exclusion.by)),
        unknown_ancestors=list(exclusion.unknown),
        groups=None if found.images.drawn is None else found.images.sequences,
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


def _runtime(one: Candidate) -> schema.RuntimeResult:
    measured = one.measurement
    timings = measured.timings.model_dump()
    return schema.RuntimeResult(mAP=one.metrics["mAP"], parity=_parity(one), untimed=measured.untimed, **timings)


def _parity(one: Candidate) -> schema.ParityResult | None:
    if one.parity is None:
        return None
    return schema.ParityResult(equal=one.equal, mAP_difference=one.mean_ap_difference, **vars(one.parity))
