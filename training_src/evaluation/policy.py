# SPDX-License-Identifier: Apache-2.0
"""The gate's policy: what a detector must reach, as a YAML file says it."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from containers.contract.errors import first_fault
from training_src.evaluation.errors import PolicyError

Metric = Literal[
    "mAP", "mAP_50", "mAP_75", "mAP_small", "mAP_medium", "mAP_large",
    "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large",
]  # fmt: skip
ClassMetric = Literal["AP", "AP50", "AP75", "AR_100"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Threshold = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Support(_Section):
    """The least evidence without which no score means anything."""

    images: Annotated[int, Field(ge=1)]
    boxes_per_class: Annotated[int, Field(ge=1)]


class ChampionRule(_Section):
    """How far the challenger may fall behind the champion on the same test images."""

    greatest_regression: Annotated[dict[Metric, Share], Field(min_length=1)]


class ServingRule(_Section):
    """How closely the serving runtime's detections must follow the SavedModel's."""

    least_matched: Threshold
    greatest_difference: Annotated[dict[Literal["mAP"], Share], Field(min_length=1)]


class GatePolicy(_Section):
    """All rules. Every section must be there: what is not asked for is said, not forgotten.

    Attributes:
        metrics: Lowest values of COCO's numbers; at least one.
        every_class: Lowest values that every class must reach.
        classes: Lowest values for single classes by name, besides `every_class`.
        exempt_classes: Classes of the label map from which neither support nor a score is asked.
        support: Least evidence.
        champion: Comparison with what serves now; null asks for none.
        serving: Parity between runtimes.
    """

    schema_version: Literal[1]
    metrics: Annotated[dict[Metric, Threshold], Field(min_length=1)]
    every_class: dict[ClassMetric, Threshold]
    classes: dict[str, dict[ClassMetric, Threshold]] = Field(default_factory=dict)
    exempt_classes: tuple[str, ...] = ()
    support: Support
    champion: ChampionRule | None
    serving: ServingRule


def read_policy(path: Path) -> GatePolicy:
    """The policy of a YAML file.

    Raises:
        PolicyError: The file is missing, is no YAML, says a thing twice, or holds what no policy has.
    """
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)
    except OSError as error:
        raise PolicyError(f"{path}: the gate policy cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from error
    try:
        return GatePolicy.model_validate(content)
    except ValidationError as error:
        raise PolicyError(f"{path}: {first_fault(error)}; see the default gate_policy.yaml") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if (name := str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(None, None, f'"{name}" is there twice', key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)
