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
        floor_policy_uri: Folder of the environment's gate policy, which its hash names; empty in an older deployment,
            whose executions took another in its place.
        test_set_uri: Folder of the test set that the environment's policy names; empty where an execution answers its
            own.
    """

    defaults: Mapping[str, Any]
    training_types: tuple[str, ...]
    jobs: tuple[Job, ...]
    spot: bool
    floor_policy_uri: str = ""
    test_set_uri: str = ""

    @property
    def training(self) -> Job:
        """The training job."""
        return next(job for job in self.jobs if job.name == TRAINING)


def read_definition(definition: Mapping[str, Any]) -> Deployed:
    """Read a bound definition, as DescribePipeline returns its text."""
    parameters = {parameter["Name"]: parameter for parameter in definition["Parameters"]}
    steps = list(_walk(definition["Steps"]))
    arguments = {step["Name"]: step["Arguments"] for step in steps}
    training, evaluating = arguments[TRAINING], arguments["EvaluateDetector"]
    inputs = {each["InputName"]: each["S3Input"]["S3Uri"] for each in evaluating["ProcessingInputs"]}
    named = evaluating["Environment"].get("MAPGATE_TEST_SET") == "environment"
    return Deployed(
        defaults={name: parameter.get("DefaultValue") for name, parameter in parameters.items()},
        training_types=tuple(parameters["TrainingInstanceType"].get("EnumValues", [])),
        jobs=tuple(_job(step) for step in steps if step["Type"] in ("Training", "Processing")),
        spot=bool(training.get("EnableManagedSpotTraining")),
        floor_policy_uri=arguments["CheckPlan"].get("floor_policy_uri", ""),
        test_set_uri=inputs["test"] if named else "",
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
