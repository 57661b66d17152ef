# SPDX-License-Identifier: Apache-2.0
"""The contract of `evaluation.json`, which CheckQuality, PublishDossier, the registry and both pages read.

Its paths are fixed, because a condition's `JsonGet` cannot be parametrised. In `gate` every number is finite and
unknown is -1; everywhere else unknown is null, with a reason.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training_src.evaluation.gate import Verdict
from training_src.evaluation.measurements import Timings
from training_src.evaluation.model_metrics import Drawn, model_metrics

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)


class Estimate(_Part):
    """A number, how far it would move with other test images, and why it is unknown if it is.

    Attributes:
        value: On the test images as they are.
        standard_deviation: Of the bootstrap's resamples.
        lower: Their 5 % quantile, which is what the gate asks of a floor; None where nothing was resampled.
        upper: Their 95 % quantile.
        reason: Why the value is unknown; None where it is known.
    """

    value: Finite | None
    standard_deviation: Finite | None = None
    lower: Finite | None = None
    upper: Finite | None = None
    reason: str | None = None


class Overlap(_Part):
    """How much of this test set belongs to another one.

    Attributes:
        images: Test images that were scored here and belong to the other one, too.
        share: The same as a share of the images that were scored here, 0 to 1.
    """

    images: int
    share: Finite


class LeftOut(_Part):
    """Test images that were not scored, because a model that is compared has learnt from their group.

    Attributes:
        images: Left out of the test set; nothing of them is in any number of this evaluation.
        groups: Distinct groups that these images belong to.
        by: Images by whose training leaves them out: `challenger`, `champion`, `best` (each with its own ancestors, but
            for the challenger's), and `ancestors` for what the challenger has seen only by the models that it was
            trained from. An image may count more than once.
    """

    images: int = 0
    groups: int = 0
    by: dict[Literal["challenger", "champion", "best", "ancestors"], int] = Field(default_factory=dict)


class ScoredDataset(_Part):
    """What was scored.

    Attributes:
        sha256: Content hash of the prepared data set.
        images: Test images that were scored, those left out not among them.
        boxes: Boxes to be found in them, ignored ones left out.
        test_set: Digest of the test images' content and source ids, in order; of all, those left out among them.
        refused: Why the server refused an image, by its source id; it counts as one without detections.
        chosen_by: Whether the environment's policy names the test set, or the execution brought its own.
        overlap_with_champion: With the test split on which the champion was registered; None where there is no
            champion, or it does not tell.
        left_out: Images that a model has learnt from.
        unknown_ancestors: What the models have learnt from besides, of which nobody knows the images: names of weights
            from outside. It leaves nothing out, and whoever approves must read of it.
        groups: How many groups of images (sequences, drives) were drawn by the bootstrap; None where it drew images.
    """

    sha256: str
    images: int
    boxes: int
    test_set: str
    refused: dict[str, str] = Field(default_factory=dict)
    chosen_by: Literal["environment", "execution"] = "execution"
    overlap_with_champion: Overlap | None = None
    left_out: LeftOut = Field(default_factory=LeftOut)
    unknown_ancestors: list[str] = Field(default_factory=list)
    groups: int | None = None


class Difference(_Part):
    """One thing in which the challenger was made otherwise than the champion.

    Attributes:
        what: Where it belongs: `data`, `config` (pipeline.config), `training` (settings, steps, seed) or `code`.
        name: Of the thing, such as `images` or `train_config.batch_size`.
        champion: The champion's value; None where it has none.
        challenger: The challenger's.
    """

    what: Literal["data", "config", "training", "code"]
    name: str
    champion: Any = None
    challenger: Any = None


class Model(_Part):
    """The challenger: its archive, and what its `model.json` says.

    Attributes:
        sha256: Of model.tar.gz, so that nothing else can be deployed by this evaluation.
        uri: Where the archive was read from; None where the job does not say.
        trained_on: Content hash of the data set it was trained on.
        changes: What is otherwise than in the champion, by both `model.json`s; empty without a champion.
    """

    sha256: str
    uri: str | None
    architecture: str
    trained_on: str | None
    steps: int | None = None
    best_step: int | None = None
    seed: int | None = None
    fingerprint: str | None = None
    changes: list[Difference] = Field(default_factory=list)


class Missed(_Part):
    """Boxes of a class that nothing found at the served score and IoU 0.5: how many, and as a share of all, 0 to 1."""

    count: int
    share: Finite


class ClassResult(_Part):
    """One class's numbers.

    Attributes:
        id: Of the label map.
        support: Boxes to be found.
        support_images: Images with at least one of them.
        ap_small: Of boxes below 32² pixels; medium up to 96², large above. None with a reason where there is no box.
        precision_at_threshold: Share of its detections from `score_threshold` on that found a box, at IoU 0.5.
        recall_at_threshold: Share of its boxes that they found.
        missed: The boxes that they did not find.
    """

    id: int
    support: int
    support_images: int
    ap: Estimate = Field(alias="AP")
    ap50: Estimate = Field(alias="AP50")
    ap75: Estimate = Field(alias="AP75")
    ar_100: Estimate = Field(alias="AR_100")
    ap_small: Estimate | None = Field(default=None, alias="AP_small")
    ap_medium: Estimate | None = Field(default=None, alias="AP_medium")
    ap_large: Estimate | None = Field(default=None, alias="AP_large")
    precision_at_threshold: Estimate | None = None
    recall_at_threshold: Estimate | None = None
    missed: Missed | None = None


class SliceResult(_Part):
    """The numbers of some of the test images, such as those of one camera.

    Attributes:
        images: How many they are.
        boxes: Boxes to be found in them.
        metrics: By COCO's names; those that were computed for slices.
    """

    images: int
    boxes: int
    metrics: dict[str, Estimate]


class Change(_Part):
    """Challenger minus the other model on the same images, resample by resample.

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


class ComparedClasses(_Part):
    """Which classes two models have, by name.

    Attributes:
        common: Both have them; all comparisons are over these alone.
        new: Only the challenger has them.
        missing: Only the other model has them.
        renamed: Pairs of the other model's name and the challenger's for a class that kept its id but not its name;
            they are among `missing` and `new`, too.
    """

    common: list[str] = Field(default_factory=list)
    new: list[str] = Field(default_factory=list)
    missing: list[str] = Field(default_factory=list)
    renamed: list[tuple[str, str]] = Field(default_factory=list)


class Compared(_Part):
    """Another model, measured on the same images: what serves now (`champion`), or the best that ever served (`best`).

    Attributes:
        arn: Of its model package; None where it is not known.
        runtime: By which it serves, and was measured.
        metrics: Its own numbers over the classes that both have, by COCO's names.
        change: Challenger minus it over the same classes, by COCO's names.
        per_class_change: The same of AP, by the names of the classes that both have.
        classes: Which these are; None where it could not be measured.
        images_per_second: Unknown, with the reason, where no server of its runtime was measured.
        reason: Why it could not be measured.
        waiver: What an administrator wrote to go on without it; it counts only beside a reason, and for the champion.
    """

    arn: str | None = None
    runtime: str | None
    metrics: dict[str, Estimate]
    change: dict[str, Change]
    per_class_change: dict[str, Change] = Field(default_factory=dict)
    classes: ComparedClasses | None = None
    images_per_second: Estimate | None = None
    reason: str | None = None
    waiver: str | None = None


class PolicyFile(_Part):
    """A policy as it was read: the place (None where the job does not say it), and the SHA-256 of the file."""

    uri: str | None
    sha256: str


class JudgedBy(_Part):
    """Who asked for what.

    Attributes:
        floor: The environment's policy, below which no execution can go.
        run: The execution's own, which can only tighten it; None where it brought none.
        map_threshold: The parameter MapThreshold: a lowest mAP besides; 0 asks for nothing.
        overruled: A sentence for each thing that the run's policy would have loosened; the floor's rule counted.
        left_out: A sentence for each rule that is not asked: exempt classes, no champion, no demand on single classes.
    """

    floor: PolicyFile
    run: PolicyFile | None = None
    map_threshold: Finite = 0.0
    overruled: list[str] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list)


class Resolution(_Part):
    """What this test set can tell.

    Attributes:
        smallest_difference: By metric, the fall against the champion that this test would notice in 8 of 10 cases;
            without a champion, what could be said in the worst case.
        images_needed: By metric, how many such images would be needed to notice the fall that the policy allows.
    """

    smallest_difference: dict[str, Finite] = Field(default_factory=dict)
    images_needed: dict[str, int] = Field(default_factory=dict)


class Resources(_Part):
    """What serving costs, as MeasureServing saw the chosen runtime on the endpoint's instance type.

    Attributes:
        artifact_megabytes: Size of model.tar.gz, in 2^20 bytes.
        resident_megabytes: Memory of the server.
        latency_milliseconds: By `p50`, `p90`, `p99`, with one request after the other.
    """

    artifact_megabytes: Finite | None = None
    resident_megabytes: Finite | None = None
    latency_milliseconds: dict[str, Finite] = Field(default_factory=dict)


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
    """One rule of the gate.

    Attributes:
        rule: Its name, such as `mAP_50`, `AP50[cyclist]`, `mAP_50[camera=front]`, `recall[cyclist]`,
            `support[cyclist]`, `regression[mAP]` (the fall against the champion), `significance[mAP]` and
            `significance[cyclist]` (what chance does not explain of it), or the same with `best.` before it. What is
            not measured of the champion at all is the rule `champion`, and `best`.
        required: The bound.
        actual: The number that was compared with it, of an interval the end that counts; -1 where it is unknown.
        sentence: Both, in words.
    """

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
    """All of `evaluation.json`.

    Attributes:
        metrics: By COCO's twelve names, over all classes of the challenger.
        per_class: By name.
        slices: By column and value of it, such as `camera=front`; empty where the data set has no columns.
        score_threshold: The score from which on a detection counts where one score must be chosen: that of the greatest
            F1 at IoU 0.5.
        champion: What serves now; None where nothing does.
        best: The best version that ever served; None where there is none, or the champion is it.
        multiclass_classification_metrics: The figures once more, as Studio draws them; always of `metrics` and AP.
    """

    schema_version: Literal[2] = 2
    dataset: ScoredDataset
    model: Model
    metrics: dict[str, Estimate]
    per_class: dict[str, ClassResult]
    slices: dict[str, SliceResult] = Field(default_factory=dict)
    score_threshold: Finite
    champion: Compared | None
    best: Compared | None = None
    policy: JudgedBy
    resolution: Resolution = Field(default_factory=Resolution)
    resources: Resources = Field(default_factory=Resources)
    serving: Serving
    gate: Gate
    multiclass_classification_metrics: dict[str, Drawn] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _draw(self) -> "Evaluation":
        classes = {name: one.ap for name, one in self.per_class.items()}
        self.multiclass_classification_metrics = model_metrics(self.metrics, classes)
        return self
