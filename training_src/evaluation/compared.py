# SPDX-License-Identifier: Apache-2.0
"""The challenger beside what serves now and beside the best version that ever served: measured, scored, compared.

Models are compared over the classes that both have, by name: what one of them never learnt is no regression of the
other, and no score of 0.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from training_src.evaluation import comparison, schema
from training_src.evaluation.bootstrap import mean_over
from training_src.evaluation.boxes import Floats
from training_src.evaluation.class_names import common_classes, translated_detections
from training_src.evaluation.coco import METRICS, mean_value
from training_src.evaluation.comparison import CommonClasses, ComparedEvidence
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.measurements import ChampionMeasurements, Measurement
from training_src.evaluation.scoring import CLASS_METRIC, Scored, change, estimate, score
from training_src.evaluation.serving import scored
from training_src.evaluation.test_set import TestSet


@dataclass(frozen=True)
class Recorded:
    """What the pipeline says of another model.

    Attributes:
        arn: Of its model package; None where there is none.
        runtime: By which it serves; None where that is not known.
        waiver: Why an administrator lets it go, whose artifact is gone.
    """

    arn: str | None = None
    runtime: str | None = None
    waiver: str | None = None


@dataclass(frozen=True)
class OtherModel:
    """Another model on the same images, or the reason why nothing is known of it there.

    Attributes:
        recorded: What the pipeline says of it.
        runtime: By which it was scored.
        scored: Its answers by the challenger's ids; those of classes that the challenger has not are left out.
        classes: Which both have, by name.
        ids: The challenger's ids of these.
        reason: Why it could not be measured.
    """

    recorded: Recorded
    runtime: str | None = None
    scored: Scored | None = None
    classes: CommonClasses = field(default_factory=CommonClasses)
    ids: tuple[int, ...] = ()
    reason: str | None = None


def score_other(
    measured: ChampionMeasurements | None,
    recorded: Recorded,
    ours: Scored,
    test_set: TestSet,
    labels: Mapping[int, str],
) -> OtherModel | None:
    """Another model on the same images, in the runtime by which it serves; None where there is none.

    Args:
        measured: Its answers, from the server or from its SavedModel.
        recorded: What the pipeline says of it; without a runtime there the fastest that was measured counts.
        ours: The challenger, by whose draws of the images it is weighed.
        test_set: The present test images.
        labels: The challenger's label map.
    """
    if measured is None:
        if recorded.runtime is None and recorded.arn is None:
            return None
        missing = "its artifact is gone" if recorded.waiver else "its detections are missing among the measurements"
        return OtherModel(recorded, recorded.runtime, reason=missing)
    runtime = recorded.runtime or measured.runtime
    recorded = replace(recorded, waiver=None)  # of what was measured there is nothing to waive
    if measured.reason is not None:
        return OtherModel(recorded, runtime, reason=measured.reason)
    theirs = measured.label_map or labels
    try:
        served = _served(measured.runtimes, runtime)
        translated = replace(served, detections=translated_detections(served.detections, theirs, labels))
        candidate = scored(translated, test_set.truth, labels)
        result = score(candidate, test_set, labels, ours.resampled.draws)
    except EvaluationError as error:
        return OtherModel(recorded, runtime, reason=str(error).rstrip("."))
    classes = common_classes(theirs, labels)
    ids = tuple(number for number, name in labels.items() if name in classes.common)
    return OtherModel(recorded, served.runtime, result, classes, ids)


def compared_evidence(ours: Scored, other: OtherModel) -> ComparedEvidence:
    """What the gate looks at."""
    if other.scored is None:
        return ComparedEvidence(reason=other.reason, waiver=other.recorded.waiver)
    return ComparedEvidence(
        metrics={name: _mean(other.scored, other.ids, name) for name in METRICS},
        change={name: _for_the_gate(one) for name, one in _changes(ours, other.scored, other.ids).items()},
        per_class_change={
            name: _for_the_gate(one)
            for name, one in _class_changes(ours, other.scored, other.ids).items()
            if one.value is not None
        },
        classes=other.classes,
        test_set=other.scored.measurement.test_set,
    )


def compared(ours: Scored, other: OtherModel) -> schema.Compared:
    """What evaluation.json says."""
    theirs = other.scored
    if theirs is None:
        return schema.Compared(
            arn=other.recorded.arn,
            runtime=other.runtime,
            metrics={},
            change={},
            reason=other.reason,
            waiver=other.recorded.waiver,
        )
    speed, untimed = theirs.measurement.timings.images_per_second, theirs.measurement.untimed
    return schema.Compared(
        arn=other.recorded.arn,
        runtime=other.runtime,
        metrics={name: estimate(_mean(theirs, other.ids, name), _samples(theirs, other.ids, name)) for name in METRICS},
        change=_changes(ours, theirs, other.ids),
        per_class_change=_class_changes(ours, theirs, other.ids),
        classes=schema.ComparedClasses(
            common=list(other.classes.common),
            new=list(other.classes.new),
            missing=list(other.classes.missing),
            renamed=list(other.classes.renamed),
        ),
        images_per_second=schema.Estimate(value=speed, reason=untimed if speed is None else None),
    )


def change_samples(ours: Scored, theirs: Scored, ids: Collection[int], name: str) -> tuple[Floats, Floats]:
    """Both models' draws of one of COCO's numbers over some classes."""
    return _samples(ours, ids, name), _samples(theirs, ids, name)


def _served(runtimes: Mapping[str, Measurement], runtime: str | None) -> Measurement:
    if runtime is not None:
        if runtime not in runtimes:
            raise EvaluationError(f'it is served by the runtime "{runtime}", which was not measured')
        return runtimes[runtime]
    return max(runtimes.values(), key=lambda one: (one.timings.images_per_second or 0.0, one.runtime))


def _changes(ours: Scored, theirs: Scored, ids: Collection[int]) -> dict[str, schema.Change]:
    return {
        name: change(_mean(ours, ids, name), _mean(theirs, ids, name), *change_samples(ours, theirs, ids, name))
        for name in METRICS
    }


def _class_changes(ours: Scored, theirs: Scored, ids: Collection[int]) -> dict[str, schema.Change]:
    """Of AP, by name."""
    both = zip(ours.metrics.per_class, theirs.metrics.per_class, strict=True)
    samples = ours.resampled.per_class, theirs.resampled.per_class
    return {
        one.name: change(one.values["AP"], two.values["AP"], *(each[one.id]["AP"] for each in samples))
        for one, two in both
        if one.id in ids
    }


def _mean(one: Scored, ids: Collection[int], name: str) -> float | None:
    return mean_value(one.metrics, ids, CLASS_METRIC[name])


def _samples(one: Scored, ids: Collection[int], name: str) -> Floats:
    if not ids:
        return np.full(len(one.resampled.draws), np.nan)
    return mean_over(one.resampled, ids, CLASS_METRIC[name])


def _for_the_gate(one: schema.Change) -> comparison.Change:
    return comparison.Change(one.value, one.standard_deviation, one.upper)
