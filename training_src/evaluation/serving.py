# SPDX-License-Identifier: Apache-2.0
"""Which runtime serves: the fastest one whose detections are the SavedModel's."""

from collections.abc import Mapping
from dataclasses import dataclass

from training_src.evaluation.boxes import GroundTruth
from training_src.evaluation.coco import CocoMetrics, evaluate
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.measurements import Measurement
from training_src.evaluation.parity import Parity, compare
from training_src.evaluation.policy import ServingRule

# The runtime that runs the SavedModel itself.
REFERENCE = "tensorflow"


@dataclass(frozen=True)
class Candidate:
    """A runtime's metrics and how its detections compare with the reference's.

    Attributes:
        measurement: Its answers and speed.
        metrics: COCO's numbers of these answers.
        parity: None when the reference was not measured.
        mean_ap_difference: Its mAP minus the reference's; None when either is unknown.
        equal: Whether the policy lets it serve.
    """

    measurement: Measurement
    metrics: CocoMetrics
    parity: Parity | None
    mean_ap_difference: float | None
    equal: bool


def candidates(
    measured: Mapping[str, Measurement], truth: GroundTruth, label_map: Mapping[int, str], rule: ServingRule
) -> dict[str, Candidate]:
    """Evaluate every runtime and compare it with the reference.

    Raises:
        EvaluationError: A runtime's detections cannot be evaluated, or it answered another number of images.
    """
    found: dict[str, Candidate] = {}
    metrics = {name: _evaluate(one, truth, label_map) for name, one in measured.items()}
    reference = measured.get(REFERENCE)
    for name, one in measured.items():
        if reference is None:
            found[name] = Candidate(one, metrics[name], None, None, False)
            continue
        parity = compare(reference.detections, one.detections, truth.images)
        ours, theirs = metrics[name]["mAP"], metrics[REFERENCE]["mAP"]
        change = None if ours is None or theirs is None else ours - theirs
        equal = parity.matched >= rule.least_matched and (
            change is None or abs(change) <= rule.greatest_difference["mAP"]
        )
        found[name] = Candidate(one, metrics[name], parity, change, equal)
    return found


def choose(found: Mapping[str, Candidate], recorded: str | None = None) -> Candidate:
    """The runtime that serves.

    Args:
        found: All that were measured.
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


def _evaluate(one: Measurement, truth: GroundTruth, label_map: Mapping[int, str]) -> CocoMetrics:
    if one.images != truth.images:
        raise EvaluationError(
            f'runtime "{one.runtime}" answered {one.images} images, the test set has {truth.images}; measure again'
        )
    return evaluate(truth, one.detections, label_map)
