# SPDX-License-Identifier: Apache-2.0
"""The gate's policy: what a detector must reach, as a YAML file says it.

Two of them judge: the environment's is the floor, an execution's own can only tighten it (`floor.py`). PyYAML and the
standard library are enough: the step CheckPlan carries this module into a Lambda function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

import yaml

from training_src.class_names import one_spelling
from training_src.evaluation.errors import PolicyError
from training_src.evaluation.policy_values import count, mapping, names, number, positive, section, shown, thresholds

Metric = Literal[
    "mAP", "mAP_50", "mAP_75", "mAP_small", "mAP_medium", "mAP_large",
    "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large",
]  # fmt: skip
ClassMetric = Literal["AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR_100"]
METRICS, CLASS_METRICS = get_args(Metric), get_args(ClassMetric)
SCHEMA_VERSION = 2
_NEEDED = ("schema_version", "metrics", "every_class", "support", "champion", "serving")
_OPTIONAL = ("classes", "exempt_classes", "slices", "recall", "test_set", "exclusion")
_RESOURCES = ("latency_p99_milliseconds", "resident_megabytes", "artifact_megabytes")
_RENAMED = (
    "schema_version: 1 is of an earlier release. Write schema_version: 2, and champion: {greatest_fall: {mAP: 0.025}} "
    "for champion: {greatest_regression: {mAP: 0.02}}. All other keys keep their names, but metrics, every_class and "
    "classes now ask the lower end of the interval (its 5 % quantile), so lower their values by what your test set "
    "leaves open; docs/gate.md tells how much that is"
)
_DIGEST = 64

Built = TypeVar("Built")


@dataclass(frozen=True)
class Support:
    """The least evidence without which no score means anything.

    Attributes:
        images: Test images that were scored, 1 or more.
        boxes_per_class: Boxes of every class in them, 1 or more.
        interval_width: By metric, how far the ends of its interval (5 % and 95 % quantile) may lie apart, above 0.
    """

    images: int
    boxes_per_class: int
    interval_width: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ChampionRule:
    """How the challenger must stand beside the champion, and beside the best version that ever served.

    Beside what is said here, neither mAP nor any class's AP may be significantly worse.

    Attributes:
        greatest_fall: By metric, how far its value may fall on the same test images, 0 to 1; at least one.
        least_common_classes: Share of the other model's classes that the challenger must have, too, above 0.
    """

    greatest_fall: Mapping[str, float]
    least_common_classes: float = 0.5


@dataclass(frozen=True)
class ServingRule:
    """How closely the serving runtime's detections must follow the SavedModel's, and what serving may cost.

    Attributes:
        least_matched: Share of detections that both must have, above 0.
        greatest_difference: Of `mAP`, 0 to 1.
        latency_p99_milliseconds: Of 99 of 100 answers on the endpoint's instance type; None asks for nothing.
        resident_megabytes: Memory of the server; None asks for nothing.
        artifact_megabytes: Size of model.tar.gz; None asks for nothing.
    """

    least_matched: float
    greatest_difference: Mapping[str, float]
    latency_p99_milliseconds: float | None = None
    resident_megabytes: float | None = None
    artifact_megabytes: float | None = None


@dataclass(frozen=True)
class RecallRule:
    """Recall at IoU 0.5 that a class must reach at a score at which this precision is kept; both above 0."""

    precision: float
    recall: float


@dataclass(frozen=True)
class NamedTestSet:
    """The test set that every detector must answer.

    Attributes:
        uri: Its folder in S3, with a slash at the end.
        sha256: Its digest, as evaluation.json has it under `dataset.test_set`.
    """

    uri: str
    sha256: str


@dataclass(frozen=True)
class GatePolicy:
    """All rules. Every section that always had to be there must be: what is not asked for is said, not forgotten.

    Attributes:
        metrics: Lowest values of COCO's numbers, above 0; at least one. The lower end of the interval is asked.
        every_class: The same that every class must reach.
        support: Least evidence.
        champion: Comparison with what serves now and with the best that ever did; None asks for none.
        serving: Parity between runtimes, and what serving costs.
        classes: Lowest values for single classes by name, besides `every_class`.
        exempt_classes: Classes of the label map from which neither support nor a score is asked.
        exempt_without_boxes: Classes that are exempt as long as the test set has no box of them: what an execution's
            own policy can exempt. No file says it; `floor.tightened` does.
        slices: Lowest values of COCO's numbers in a slice of the test set, by `column=value`.
        recall: Recall at a precision, by class.
        test_set: The one that must be answered; None: the execution brings its own.
        least_images_left: Test images that must remain when those are left out that a model was trained on; None: no
            more than `support.images` says.
    """

    metrics: Mapping[str, float]
    every_class: Mapping[str, float]
    support: Support
    champion: ChampionRule | None
    serving: ServingRule
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    exempt_classes: tuple[str, ...] = ()
    exempt_without_boxes: tuple[str, ...] = ()
    slices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    recall: Mapping[str, RecallRule] = field(default_factory=dict)
    test_set: NamedTestSet | None = None
    least_images_left: int | None = None

    @classmethod
    def of(cls, content: object) -> Self:
        """The policy of a parsed file.

        Raises:
            PolicyError: Something is missing, unknown or out of range; the message names its place.
        """
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version == 1 and not isinstance(version, bool):
            raise PolicyError(_RENAMED)
        whole = section(content, "", _NEEDED, _OPTIONAL)
        if version != SCHEMA_VERSION or isinstance(version, bool):
            raise PolicyError(f"schema_version: {shown(version)} is not known; give {SCHEMA_VERSION}")
        return cls(
            metrics=thresholds(whole["metrics"], "metrics", METRICS, at_least_one=True),
            every_class=thresholds(whole["every_class"], "every_class", CLASS_METRICS),
            support=_support(whole["support"]),
            champion=_champion(whole["champion"]),
            serving=_serving(whole["serving"]),
            classes=_by_class(
                whole.get("classes", {}), "classes", lambda rules, place: thresholds(rules, place, CLASS_METRICS)
            ),
            exempt_classes=tuple(map(one_spelling, names(whole.get("exempt_classes", []), "exempt_classes"))),
            slices=_by_name(whole.get("slices", {}), "slices", _slice),
            recall=_by_class(whole.get("recall", {}), "recall", _recall),
            test_set=_test_set(whole.get("test_set")),
            least_images_left=_least_images_left(whole.get("exclusion")),
        )


def read_policy(path: Path) -> GatePolicy:
    """The policy of a YAML file.

    Raises:
        PolicyError: The file is missing, is no YAML, says a thing twice, or holds what no policy has.
    """
    try:
        return policy_of(path.read_bytes(), str(path))
    except OSError as error:
        raise PolicyError(f"{path}: the gate policy cannot be read ({error.strerror})") from error


def policy_of(text: bytes, place: str) -> GatePolicy:
    """The policy of a YAML document, whose place stands in the message of every error.

    Raises:
        PolicyError: It is no YAML, says a thing twice, or holds what no policy has.
    """
    try:
        content = yaml.load(text.decode(), Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, no date, or a number of thousands of digits
        raise PolicyError(f"{place}: not a YAML file: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise PolicyError(f"{place}: not a YAML file: it nests too deeply") from None
    try:
        return GatePolicy.of(content)
    except PolicyError as error:
        raise PolicyError(f"{place}: {error}; see the default gate_policy.yaml") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if (name := str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(None, None, f'"{name}" is there twice', key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _support(content: object) -> Support:
    found = section(content, "support", ("images", "boxes_per_class"), ("interval_width",))
    return Support(
        images=count(found["images"], "support.images"),
        boxes_per_class=count(found["boxes_per_class"], "support.boxes_per_class"),
        interval_width=thresholds(found.get("interval_width", {}), "support.interval_width", METRICS),
    )


def _champion(content: object) -> ChampionRule | None:
    if content is None:
        return None
    found = section(content, "champion", ("greatest_fall",), ("least_common_classes",))
    falls = thresholds(found["greatest_fall"], "champion.greatest_fall", METRICS, zero=True, at_least_one=True)
    if "least_common_classes" not in found:
        return ChampionRule(falls)
    return ChampionRule(falls, number(found["least_common_classes"], "champion.least_common_classes"))


def _serving(content: object) -> ServingRule:
    place = "serving.greatest_difference"
    found = section(content, "serving", ("least_matched", "greatest_difference"), _RESOURCES)
    latency, resident, artifact = (
        positive(found[name], f"serving.{name}") if name in found else None for name in _RESOURCES
    )
    return ServingRule(
        least_matched=number(found["least_matched"], "serving.least_matched"),
        greatest_difference=thresholds(found["greatest_difference"], place, ("mAP",), zero=True, at_least_one=True),
        latency_p99_milliseconds=latency,
        resident_megabytes=resident,
        artifact_megabytes=artifact,
    )


def _by_name(content: object, place: str, read: Callable[[object, str], Built]) -> dict[str, Built]:
    return {name: read(value, f"{place}.{name}") for name, value in mapping(content, place).items()}


def _by_class(content: object, place: str, read: Callable[[object, str], Built]) -> dict[str, Built]:
    """The same by classes, whose names are spelled as label maps spell them."""
    found: dict[str, Built] = {}
    for name, value in _by_name(content, place, read).items():
        if (spelled := one_spelling(name)) in found:
            raise PolicyError(f"{place}.{spelled}: is there twice, in two spellings of Unicode or with other blanks")
        found[spelled] = value
    return found


def _slice(content: object, place: str) -> dict[str, float]:
    column, equals, value = place.removeprefix("slices.").partition("=")
    if not (column and equals and value):
        raise PolicyError(f'{place}: is no slice; write its column and its value, such as "camera=front"')
    return thresholds(content, place, METRICS, at_least_one=True)


def _recall(content: object, place: str) -> RecallRule:
    found = section(content, place, ("precision", "recall"))
    return RecallRule(
        precision=number(found["precision"], f"{place}.precision"), recall=number(found["recall"], f"{place}.recall")
    )


def _test_set(content: object) -> NamedTestSet | None:
    if content is None:
        return None
    found = section(content, "test_set", ("uri", "sha256"))
    uri, sha256 = found["uri"], found["sha256"]
    if not isinstance(uri, str) or not uri.startswith("s3://") or not uri.endswith("/"):
        raise PolicyError(
            f"test_set.uri: {shown(uri)} is no folder in S3; give s3://, bucket and a prefix with a slash at its end"
        )
    if not isinstance(sha256, str) or len(sha256) != _DIGEST or set(sha256) - set("0123456789abcdef"):
        raise PolicyError(
            f"test_set.sha256: {shown(sha256)} is no digest of a test set; an evaluation.json of it has it under "
            "dataset.test_set"
        )
    return NamedTestSet(uri, sha256)


def _least_images_left(content: object) -> int | None:
    if content is None:
        return None
    return count(section(content, "exclusion", ("least_images",))["least_images"], "exclusion.least_images")
