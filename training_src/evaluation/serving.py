# SPDX-License-Identifier: Apache-2.0
"""Which runtime serves: the fastest one whose detections are the SavedModel's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from training_src.evaluation.boxes import GroundTruth
from training_src.evaluation.coco import CocoMetrics, evaluate
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.measurements import Measurement
from training_src.evaluation.parity import Parity, compare
from training_src.evaluation.policy import ServingRule


@dataclass(frozen=True)
class Candidate:
    """A runtime's metrics and how its detections compare with the reference's.

    Attributes:
        measurement: Its answers and speed.
        metrics: COCO's numbers of these answers.
        parity: None for the reference itself, and for what is compared with none.
        mean_ap_difference: Its mAP minus the reference's; None when either is unknown.
        equal: Whether the policy lets it serve.
    """

    measurement: Measurement
    metrics: CocoMetrics
    parity: Parity | None
    mean_ap_difference: float | None
    equal: bool


def scored(measurement: Measurement, truth: GroundTruth, label_map: Mapping[int, str]) -> Candidate:
    """A runtime that is compared with nothing.

    Raises:
        EvaluationError: Its detections cannot be evaluated, or it answered another number of images.
    """
    if measurement.images != truth.images:
        raise EvaluationError(
            f'runtime "{measurement.runtime}" answered {measurement.images} images, the test set has {truth.images}; '
            "measure again"
        )
    return Candidate(measurement, evaluate(truth, measurement.detections, label_map), None, None, False)


def candidates(
    measured: Mapping[str, Measurement],
    reference: Candidate,
    truth: GroundTruth,
    label_map: Mapping[int, str],
    rule: ServingRule,
) -> dict[str, Candidate]:
    """Evaluate every measured runtime and compare it with the SavedModel.

    Raises:
        EvaluationError: A runtime's detections cannot be evaluated, or it answered another number of images.
    """
    return {name: _compared(scored(one, truth, label_map), reference, rule) for name, one in measured.items()}


def _compared(one: Candidate, reference: Candidate, rule: ServingRule) -> Candidate:
    ours, theirs = one.measurement, reference.measurement
    parity = compare(theirs.detections, ours.detections, ours.images)
    values = one.metrics["mAP"], reference.metrics["mAP"]
    change = None if values[0] is None or values[1] is None else values[0] - values[1]
    close = change is None or abs(change) <= rule.greatest_difference["mAP"]
    equal = parity.matched >= rule.least_matched and close
    return replace(one, parity=parity, mean_ap_difference=change, equal=equal)


def choose(found: Mapping[str, Candidate], recorded: str | None = None) -> Candidate:
    """The runtime that serves, or would serve if one were equal.

    Args:
        found: All that were measured; at least one.
        recorded: The runtime that a version's record names; it is taken, whatever else is faster.

    Raises:
        EvaluationError: The recorded runtime was not measured.
    """
    if recorded is not None:
        if recorded not in found:
            raise EvaluationError(f'it is served by the runtime "{recorded}", which was not measured')
        return found[recorded]
    equal = [one for one in found.values() if one.equal] or list(found.values())
    return max(equal, key=lambda one: (one.measurement.timings.images_per_second or 0.0, one.measurement.runtime))
