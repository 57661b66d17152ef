# SPDX-License-Identifier: Apache-2.0
"""What a deployed definition says of an execution that nobody has started yet: defaults, instances and time limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TRAINING = "TrainDetector"


@dataclass(frozen=True)
class Job:
    """One job of the definition.

    Attributes:
        instance_type: Empty for the training, whose type is a parameter.
        limit_seconds: After which SageMaker stops it.
    """

    name: str
    instance_type: str
    instances: int
    limit_seconds: int


@dataclass(frozen=True)
class Deployed:
    """A definition, as far as an estimate needs it.

    Attributes:
        defaults: Parameter name to default.
        training_types: What `TrainingInstanceType` may be.
        jobs: The training and the Processing jobs.
        spot: Whether the training runs on spare capacity.
    """

    defaults: Mapping[str, Any]
    training_types: tuple[str, ...]
    jobs: tuple[Job, ...]
    spot: bool

    @property
    def training(self) -> Job:
        """The training job."""
        return next(job for job in self.jobs if job.name == TRAINING)


def read_definition(definition: Mapping[str, Any]) -> Deployed:
    """Read a bound definition, as DescribePipeline returns its text."""
    parameters = {parameter["Name"]: parameter for parameter in definition["Parameters"]}
    steps = list(_walk(definition["Steps"]))
    training = next(step["Arguments"] for step in steps if step["Name"] == TRAINING)
    return Deployed(
        defaults={name: parameter.get("DefaultValue") for name, parameter in parameters.items()},
        training_types=tuple(parameters["TrainingInstanceType"].get("EnumValues", [])),
        jobs=tuple(_job(step) for step in steps if step["Type"] in ("Training", "Processing")),
        spot=bool(training.get("EnableManagedSpotTraining")),
    )


def _walk(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            if step["Type"] == "Condition":
                yield from _walk(step["Arguments"].get(branch, []))


def _job(step: dict[str, Any]) -> Job:
    arguments = step["Arguments"]
    training = step["Type"] == "Training"
    cluster = arguments["ResourceConfig"] if training else arguments["ProcessingResources"]["ClusterConfig"]
    kind = cluster["InstanceType"]
    return Job(
        step["Name"],
        kind if isinstance(kind, str) else "",
        int(cluster["InstanceCount"]),
        int(arguments["StoppingCondition"]["MaxRuntimeInSeconds"]),
    )
