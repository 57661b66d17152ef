# SPDX-License-Identifier: Apache-2.0
"""evaluation.json as people are told it, of this release and of the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.errors import BadInputError

KNOWN = (1, 2)


@dataclass(frozen=True)
class Estimate:
    """A number, and how sure the test images make it.

    Attributes:
        value: None where it is unknown.
        deviation: Standard deviation over resampled test images.
        lower: 5 % quantile; None in evaluations of schema 1.
        upper: 95 % quantile; likewise.
        reason: Why it is unknown.
    """

    value: float | None
    deviation: float | None = None
    lower: float | None = None
    upper: float | None = None
    reason: str | None = None

    @classmethod
    def read(cls, told: Any) -> Estimate:
        """What stands in the document: an estimate, a bare number or nothing."""
        if not isinstance(told, Mapping):
            return cls(float(told) if isinstance(told, int | float) else None)
        return cls(
            told.get("value"), told.get("standard_deviation"), told.get("lower"), told.get("upper"), told.get("reason")
        )

    def __str__(self) -> str:
        """`0.4663 (90 %: 0.4424 to 0.4902)`: the value, and where it lies with so many of the resampled test sets."""
        if self.value is None:
            return f"unknown: {self.reason}" if self.reason else "unknown"
        if self.lower is not None and self.upper is not None:
            return f"{self.value:.4f} (90 %: {self.lower:.4f} to {self.upper:.4f})"
        return f"{self.value:.4f}" + (f" (standard deviation {self.deviation:.4f})" if self.deviation else "")

    def as_json(self) -> dict[str, float | str | None]:
        """The estimate as plain JSON values."""
        return {
            "value": self.value,
            "standard_deviation": self.deviation,
            "lower": self.lower,
            "upper": self.upper,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Evaluation:
    """What EvaluateDetector found.

    Attributes:
        metrics: By COCO's names.
        per_class: AP by class.
        change: Of mAP against the champion; None where there is none.
        failed: A sentence for each rule that is not met.
        remarks: A sentence for each thing that an approver must know besides: rules that are not asked, what the run's
            policy would have loosened, a waiver, ancestors of which nobody knows the images.
        test_set: Digest of the test images: only equal ones make two numbers comparable.
        images: Test images.
        chosen_by: Whose test set it is, `environment` or `execution`; None where the document does not say.
        model: Architecture, steps, best step and seed, as `model.json` has them.
        serving: Runtime, precision, images a second and milliseconds of what will serve.
    """

    passed: bool
    sentence: str
    metrics: dict[str, Estimate]
    per_class: dict[str, Estimate]
    change: Estimate | None
    failed: list[str]
    remarks: list[str]
    test_set: str
    images: int
    chosen_by: str | None
    model: dict[str, Any]
    serving: dict[str, Any]

    @classmethod
    def read(cls, document: Mapping[str, Any], place: str) -> Evaluation:
        """Read the parsed document.

        Raises:
            BadInputError: It is of a later release, or no evaluation.
        """
        if document.get("schema_version") not in KNOWN:
            raise BadInputError(
                f"{place}: its schema_version is {document.get('schema_version')}, and this checkout reads "
                f"{' and '.join(map(str, KNOWN))}: update the checkout"
            )
        try:
            return cls._read(document)
        except (KeyError, TypeError, AttributeError) as error:
            raise BadInputError(
                f"{place}: it has no {error}, so it is not an evaluation; look at what wrote it"
            ) from error

    @classmethod
    def _read(cls, document: Mapping[str, Any]) -> Evaluation:
        gate, dataset = document["gate"], document["dataset"]
        champion = document.get("champion") or {}
        changed = (champion.get("change") or {}).get("mAP")
        return cls(
            passed=gate["passed"] is True,
            sentence=gate["sentence"],
            metrics={name: Estimate.read(told) for name, told in document["metrics"].items()},
            per_class={name: Estimate.read(told["AP"]) for name, told in document["per_class"].items()},
            change=Estimate.read(changed) if changed else None,
            failed=[rule["sentence"] for rule in gate["rules"] if not rule["passed"]],
            remarks=_remarks(document),
            test_set=dataset["test_set"],
            images=dataset["images"],
            chosen_by=dataset.get("chosen_by"),
            model={name: document["model"].get(name) for name in ("architecture", "steps", "best_step", "seed")},
            serving=_serving(document["serving"]),
        )

    @property
    def mean_ap(self) -> Estimate:
        """COCO's mAP."""
        return self.metrics.get("mAP", Estimate(None))

    def as_json(self) -> dict[str, Any]:
        """The evaluation as plain JSON values."""
        return {
            "passed": self.passed,
            "sentence": self.sentence,
            "failed_rules": self.failed,
            "remarks": self.remarks,
            "metrics": {name: estimate.as_json() for name, estimate in self.metrics.items()},
            "per_class": {name: estimate.as_json() for name, estimate in self.per_class.items()},
            "change": self.change.as_json() if self.change else None,
            "test_set": self.test_set,
            "test_images": self.images,
            "test_set_chosen_by": self.chosen_by,
            "model": self.model,
            "serving": self.serving,
        }


def _remarks(document: Mapping[str, Any]) -> list[str]:
    policy, dataset, champion = (document.get(name) or {} for name in ("policy", "dataset", "champion"))
    found = [*(policy.get("overruled") or []), *(policy.get("left_out") or [])]
    if champion.get("reason") and champion.get("waiver"):
        found.append(f"the champion was not compared ({champion['reason']}); waived: {champion['waiver']}")
    if dataset.get("chosen_by") == "execution":
        found.append(f"the execution chose its own test set of {dataset['images']} images")
    if unknown := dataset.get("unknown_ancestors"):
        found.append(f"nobody knows on which images {', '.join(unknown)} was trained")
    return found


def _serving(told: Mapping[str, Any]) -> dict[str, Any]:
    measured = (told.get("runtimes") or {}).get(told.get("runtime")) or {}
    return {
        "runtime": told.get("runtime"),
        "precision": told.get("precision"),
        "images_per_second": measured.get("images_per_second"),
        "latency_milliseconds": measured.get("latency_milliseconds"),
    }
