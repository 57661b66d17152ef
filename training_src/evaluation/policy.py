# SPDX-License-Identifier: Apache-2.0
"""The gate's policy: what a detector must reach, as a YAML file says it.

PyYAML and the standard library are enough: the step CheckPlan carries this module into a Lambda function.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml

from training_src.evaluation.errors import PolicyError

Metric = Literal[
    "mAP", "mAP_50", "mAP_75", "mAP_small", "mAP_medium", "mAP_large",
    "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large",
]  # fmt: skip
ClassMetric = Literal["AP", "AP50", "AP75", "AR_100"]
_METRICS, _CLASS_METRICS = get_args(Metric), get_args(ClassMetric)
_SECTIONS = ("schema_version", "metrics", "every_class", "support", "champion", "serving")
_OPTIONAL = ("classes", "exempt_classes")


@dataclass(frozen=True)
class Support:
    """The least evidence without which no score means anything; both are 1 or more."""

    images: int
    boxes_per_class: int


@dataclass(frozen=True)
class ChampionRule:
    """How far the challenger may fall behind the champion on the same test images: at least one metric, 0 to 1."""

    greatest_regression: Mapping[str, float]


@dataclass(frozen=True)
class ServingRule:
    """How closely the serving runtime's detections must follow the SavedModel's.

    Attributes:
        least_matched: Share of detections that both must have, above 0.
        greatest_difference: Of `mAP`, 0 to 1.
    """

    least_matched: float
    greatest_difference: Mapping[str, float]


@dataclass(frozen=True)
class GatePolicy:
    """All rules. Every section must be there: what is not asked for is said, not forgotten.

    Attributes:
        metrics: Lowest values of COCO's numbers, above 0; at least one.
        every_class: Lowest values that every class must reach.
        support: Least evidence.
        champion: Comparison with what serves now; None asks for none.
        serving: Parity between runtimes.
        classes: Lowest values for single classes by name, besides `every_class`.
        exempt_classes: Classes of the label map from which neither support nor a score is asked.
    """

    metrics: Mapping[str, float]
    every_class: Mapping[str, float]
    support: Support
    champion: ChampionRule | None
    serving: ServingRule
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    exempt_classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, content: object) -> Self:
        """The policy of a parsed file.

        Raises:
            PolicyError: Something is missing, unknown or out of range; the message names its place.
        """
        whole = _section(content, "", _SECTIONS, _OPTIONAL)
        if whole["schema_version"] != 1 or isinstance(whole["schema_version"], bool):
            raise PolicyError(f"schema_version: {_shown(whole['schema_version'])} is not known; give 1")
        classes = _mapping(whole.get("classes", {}), "classes")
        return cls(
            metrics=_thresholds(whole["metrics"], "metrics", _METRICS, at_least_one=True),
            every_class=_thresholds(whole["every_class"], "every_class", _CLASS_METRICS),
            support=_support(whole["support"]),
            champion=_champion(whole["champion"]),
            serving=_serving(whole["serving"]),
            classes={name: _thresholds(rules, f"classes.{name}", _CLASS_METRICS) for name, rules in classes.items()},
            exempt_classes=_names(whole.get("exempt_classes", []), "exempt_classes"),
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
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyError(f"{place}: not a YAML file: {' '.join(str(error).split())}") from error
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
    found = _section(content, "support", ("images", "boxes_per_class"))
    return Support(
        images=_count(found["images"], "support.images"),
        boxes_per_class=_count(found["boxes_per_class"], "support.boxes_per_class"),
    )


def _champion(content: object) -> ChampionRule | None:
    if content is None:
        return None
    place = "champion.greatest_regression"
    found = _section(content, "champion", ("greatest_regression",))
    shares = _thresholds(found["greatest_regression"], place, _METRICS, zero=True, at_least_one=True)
    return ChampionRule(shares)


def _serving(content: object) -> ServingRule:
    place = "serving.greatest_difference"
    found = _section(content, "serving", ("least_matched", "greatest_difference"))
    return ServingRule(
        least_matched=_number(found["least_matched"], "serving.least_matched"),
        greatest_difference=_thresholds(found["greatest_difference"], place, ("mAP",), zero=True, at_least_one=True),
    )


def _section(content: object, place: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> Mapping[str, Any]:
    found = _mapping(content, place)
    within = f"{place}." if place else ""
    for name in found:
        if name not in (*needed, *optional):
            raise PolicyError(f"{within}{name}: is not known; the known are {', '.join((*needed, *optional))}")
    for name in needed:
        if name not in found:
            raise PolicyError(f"{within}{name}: is missing")
    return found


def _mapping(content: object, place: str) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise PolicyError(f"{place or 'the whole file'}: {_shown(content)} stands where names with values are needed")
    for name in content:
        if not isinstance(name, str):
            raise PolicyError(f'{place or "the whole file"}: {_shown(name)} is no name; quote it: "{name}"')
    return content


def _thresholds(
    content: object, place: str, known: tuple[str, ...], *, zero: bool = False, at_least_one: bool = False
) -> dict[str, float]:
    found = _mapping(content, place)
    for name in found:
        if name not in known:
            raise PolicyError(f"{place}.{name}: is not known; the known are {', '.join(known)}")
    if at_least_one and not found:
        raise PolicyError(f"{place}: is empty; give at least one of {', '.join(known)}")
    return {name: _number(value, f"{place}.{name}", zero=zero) for name, value in found.items()}


def _number(value: object, place: str, *, zero: bool = False) -> float:
    """A number up to 1. YAML takes `1e-3`, which has no point, for a text."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not (0 <= number <= 1 if zero else 0 < number <= 1):
        raise PolicyError(f"{place}: {_shown(value)} is no number {'from 0 to 1' if zero else 'above 0, up to 1'}")
    return number


def _count(value: object, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PolicyError(f"{place}: {_shown(value)} is no whole number of 1 or more")
    return value


def _names(content: object, place: str) -> tuple[str, ...]:
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise PolicyError(f"{place}: {_shown(content)} stands where a list of names is needed")
    return tuple(content)


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)
