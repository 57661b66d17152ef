# SPDX-License-Identifier: Apache-2.0
"""The contract of `evaluation.json`, which CheckQuality, PublishDossier and the registry read.

Its paths are fixed, because a condition's `JsonGet` cannot be parametrised. In `gate` every number is finite and
unknown is -1; everywhere else unknown is null, with a reason.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from training_src.evaluation.gate import Verdict
from training_src.evaluation.measurements import Timings

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)


class Estimate(_Part):
    """A number, how far it would move with other test images, and why it is unknown if it is."""

    value: Finite | None
    standard_deviation: Finite | None = None
    reason: str | None = None


class ScoredDataset(_Part):
    """What was scored.

    Attributes:
        sha256: Content hash of the prepared data set.
        images: Test images.
        boxes: Boxes to be found in them, ignored ones left out.
        test_set: Digest of the test images' source ids, in order.
        refused: Why the server refused an image, by its source id; it counts as one without detections.
    """

    sha256: str
    images: int
    boxes: int
    test_set: str
    refused: dict[str, str] = Field(default_factory=dict)


class Model(_Part):
    """The challenger: its archive, and what its `model.json` says.

    Attributes:
        sha256: Of model.tar.gz, so that nothing else can be deployed by this evaluation.
        uri: Where the archive was read from; None where the job does not say.
        trained_on: Content hash of the data set it was trained on.
    """

    sha256: str
    uri: str | None
    architecture: str
    trained_on: str | None
    steps: int | None = None
    best_step: int | None = None
    seed: int | None = None
    fingerprint: str | None = None


class ClassResult(_Part):
    """One class's numbers."""

    id: int
    support: int
    support_images: int
    ap: Estimate = Field(alias="AP")
    ap50: Estimate = Field(alias="AP50")
    ap75: Estimate = Field(alias="AP75")
    ar_100: Estimate = Field(alias="AR_100")


class Change(_Part):
    """Challenger minus champion on the same images, resample by resample.

    Attributes:
        value: The difference itself.
        standard_deviation: Of the paired difference.
        lower: Its 5 % quantile.
        upper: Its 95 % quantile.
        probability_better: Share of resamples in which the challenger is ahead.
    """

    value: Finite | None
    standard_deviation: Finite | None = None
    lower: Finite | None = None
    upper: Finite | None = None
    probability_better: Finite | None = None


class Champion(_Part):
    """What serves now, measured on the same images.

    Attributes:
        images_per_second: Unknown, with the reason, where no server of its runtime was measured.
        reason: Why it could not be measured.
        waiver: What an administrator wrote to go on without it; it counts only beside a reason.
    """

    runtime: str | None
    metrics: dict[str, Estimate]
    change: dict[Literal["mAP", "mAP_50"], Change]
    images_per_second: Estimate | None = None
    reason: str | None = None
    waiver: str | None = None


class ParityResult(_Part):
    """How a runtime's detections compare with the SavedModel's.

    Attributes:
        equal: Whether the policy lets this runtime serve.
        matched: Share of detections above score 0.1 that both have.
        compared: How many those are.
        greatest_score_difference: Among matched ones.
        least_iou: Among matched ones.
        mean_ap_difference: mAP minus the SavedModel's.
    """

    equal: bool
    matched: Finite
    compared: int
    greatest_score_difference: Finite
    least_iou: Finite
    mean_ap_difference: Finite | None = Field(alias="mAP_difference")


class RuntimeResult(_Part, Timings):
    """One runtime of the challenger on the endpoint's instance type.

    Attributes:
        parity: None of the SavedModel's own answers, where no server gave them.
        untimed: Why nothing is known of its speed; None where it was measured.
    """

    mean_ap: Finite | None = Field(alias="mAP")
    parity: ParityResult | None
    untimed: str | None = None


class Serving(_Part):
    """The runtime that will serve, whose detections were scored, all that were measured, and the SavedModel."""

    runtime: str
    precision: str
    parity: ParityResult | None
    runtimes: dict[str, RuntimeResult]


class RuleResult(_Part):
    """One rule of the gate; `actual` is -1 where it is unknown."""

    rule: str
    comparison: Literal["at least", "at most"]
    required: Finite
    actual: Finite
    passed: bool
    sentence: str


class Gate(_Part):
    """The verdict. Always there and finite."""

    passed: bool
    sentence: str
    mean_ap: Finite = Field(alias="mAP")
    rules: list[RuleResult]

    @classmethod
    def of(cls, verdict: Verdict) -> "Gate":
        """The verdict as it is written down."""
        return cls(
            passed=verdict.passed,
            sentence=verdict.sentence,
            mAP=verdict.mean_ap,
            rules=[RuleResult(**vars(rule)) for rule in verdict.rules],
        )


class Evaluation(_Part):
    """All of `evaluation.json`."""

    schema_version: Literal[1] = 1
    dataset: ScoredDataset
    model: Model
    metrics: dict[str, Estimate]
    per_class: dict[str, ClassResult]
    score_threshold: Finite
    champion: Champion | None
    serving: Serving
    gate: Gate
