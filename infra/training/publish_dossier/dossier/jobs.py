# SPDX-License-Identifier: Apache-2.0
"""What is demanded of the jobs whose files a verdict rests on: that they ran as defined, and nobody wrote after them.

Whoever holds the jobs' role may write where they write. SageMaker tells what a job was given and when it ended, which
nobody can change, and S3 when an object was written.

Pure: what was described goes in, every reason against it comes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from .settings import Inputs, Settings

_LOCAL = "/opt/ml/processing"
_SHOWN = 3
CLOCKS = timedelta(seconds=2)
"""How far the clocks of S3 and SageMaker may be apart, of which neither service says anything."""
_DATA = "that is given the data under another prefix prepares them anew: of this one the step comes from the cache"
_MODEL = "with another seed in TrainingSettings trains anew: with this one the step comes from the cache"
_ANEW = {"PrepareDataset": _DATA, "JoinDataset": _DATA, "TrainDetector": _MODEL}
"""How the execution looks that does not take a job's files from the cache again, by step."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A job as the definition gives it.

    Attributes:
        step: Whose it is; of a cached or selected step an earlier execution's.
        kind: Of the job.
        arn: Of the job.
        image: With its tag.
        command: Of the container; empty: the image's own.
        environment: All of it; None: whatever an execution chose.
        inputs: Address by name, all of them; None: whatever an execution chose.
        chosen: Names of further inputs that an execution chose.
        outputs: Address by name, of those that the verdict rests on.
    """

    step: str
    kind: Literal["Processing", "Training"] = "Processing"
    arn: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str] | None = None
    inputs: Mapping[str, str] | None = None
    chosen: frozenset[str] = frozenset()
    outputs: Mapping[str, str]

    @property
    def name(self) -> str:
        """By which SageMaker describes it."""
        return self.arn.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A job as it was.

    Attributes:
        described: What DescribeProcessingJob or DescribeTrainingJob answered.
        written: When each object below the outputs of `expected` was written, by its address; listed after all else
            was read, so that what was replaced before is seen.
    """

    expected: Expected
    described: Mapping[str, Any]
    written: Mapping[str, datetime]


def expected_jobs(inputs: Inputs, settings: Settings) -> tuple[Expected, ...]:
    """The jobs whose files decide: of the data, their description, the model, what was measured, and the verdict.

    Only EvaluateDetector's and MeasureServing's are given what other steps found; the data an execution chooses itself.
    """
    test = settings.floor_test_set_uri or inputs.test_uri
    models = {"model": inputs.model_uri, "champion": inputs.champion_uri, "best": inputs.best_uri}
    data = {"test": test, "metadata": inputs.metadata_uri}
    return (
        *_preparation(inputs, settings),
        Expected(
            step="TrainDetector",
            kind="Training",
            arn=inputs.model_job,
            image=settings.training_image,
            command=(),
            environment={},
            outputs={"model": inputs.model_uri},
        ),
        Expected(
            step="MeasureServing",
            arn=inputs.measurements_job,
            image=settings.inference_image,
            command=("python", "-m", "inference_src", "measure"),
            environment={
                "MAPGATE_CHAMPION_RUNTIME": inputs.champion_runtime,
                "MAPGATE_BEST_RUNTIME": inputs.best_runtime,
            },
            inputs={**models, **data},
            outputs={"measurements": inputs.measurements_uri},
        ),
        Expected(
            step="EvaluateDetector",
            arn=inputs.evaluation_job,
            image=settings.training_image,
            command=("python", "-m", "training_src", "evaluate"),
            environment={
                "MAPGATE_MAP_THRESHOLD": inputs.map_threshold,
                "MAPGATE_CHAMPION_ARN": inputs.champion_arn,
                "MAPGATE_CHAMPION_RUNTIME": inputs.champion_runtime,
                "MAPGATE_CHAMPION_WAIVER": inputs.champion_waiver,
                "MAPGATE_BEST_ARN": inputs.best_arn,
                "MAPGATE_BEST_RUNTIME": inputs.best_runtime,
                "MAPGATE_FLOOR_POLICY_URI": settings.floor_policy_uri,
                "MAPGATE_GATE_POLICY_URI": inputs.gate_policy_uri,
                "MAPGATE_TEST_SET": "environment" if settings.floor_test_set else "execution",
            },
            inputs={
                "measurements": inputs.measurements_uri,
                **models,
                **data,
                "gate_policy": inputs.gate_policy_uri,
                "floor_policy": settings.floor_policy_uri,
            },
            outputs={"evaluation": inputs.evaluation_uri},
        ),
    )


def job_faults(ran: Ran, settings: Settings) -> Iterator[str]:
    """Every reason why a job's files are not to be believed."""
    described, expected = ran.described, ran.expected
    status, name = described.get(f"{expected.kind}JobStatus"), f"{expected.step}'s job {expected.name}"
    if status != "Completed":
        yield f"{name} is {status}, and its files are not all there."
    pairs = _processed if expected.kind == "Processing" else _trained
    for what, found, wanted in (*_pairs(described, expected), *pairs(described, expected, settings)):
        if found != wanted:
            yield (
                f"{name} was not run as the pipeline defines it: its {what} is {_told(found)}, not {_told(wanted)}; "
                "start a new execution."
            )
    yield from _late(ran, name)


def _preparation(inputs: Inputs, settings: Settings) -> Iterator[Expected]:
    """PrepareDataset's job; on several instances JoinDataset describes the whole by what each of them left in parts."""
    splits = {"train": inputs.train_uri, "validation": inputs.validation_uri}
    if not settings.floor_test_set:
        splits["test"] = inputs.test_uri
    metadata, image = {"metadata": inputs.metadata_uri}, settings.training_image
    prepare, join = (("python", "-m", "training_src", word) for word in ("prepare", "join"))
    joined = inputs.metadata_job != inputs.data_job
    # As infra/training/several_instances.py names it, beside the splits.
    parts = {"metadata": f"{inputs.train_uri.rpartition('/')[0]}/parts"}
    own = {**splits, **(parts if joined else metadata)}
    yield Expected(step="PrepareDataset", arn=inputs.data_job, image=image, command=prepare, outputs=own)
    if joined:
        yield Expected(
            step="JoinDataset",
            arn=inputs.metadata_job,
            image=image,
            command=join,
            inputs=parts,
            chosen=frozenset({"config"}),
            outputs=metadata,
        )


def _pairs(described: Mapping[str, Any], expected: Expected) -> Iterator[tuple[str, Any, Any]]:
    """What was found and what is wanted of a job of either kind, by what it is."""
    arn = str(described.get(f"{expected.kind}JobArn"))
    # In small letters or as the job is called: https://github.com/aws/sagemaker-experiments/pull/172.
    yield "ARN", expected.arn if arn.lower() == expected.arn.lower() else arn, expected.arn
    specification = "AppSpecification" if expected.kind == "Processing" else "AlgorithmSpecification"
    application = described.get(specification) or {}
    yield "image", application.get("ImageUri") or application.get("TrainingImage"), expected.image
    given = (*(application.get("ContainerEntrypoint") or ()), *(application.get("ContainerArguments") or ()))
    yield "command", " ".join(given), " ".join(expected.command)
    if expected.environment is not None:
        found = described.get("Environment") or {}
        for variable in sorted({*found, *expected.environment}):
            yield f"variable {variable}", found.get(variable), expected.environment.get(variable)


def _trained(described: Mapping[str, Any], expected: Expected, settings: Settings) -> Iterator[tuple[str, Any, Any]]:
    """The same of what only a training has: by the address of its checkpoint is believed what that says of itself."""
    yield "role", described.get("RoleArn"), settings.training_role_arn
    given = described.get("HyperParameters") or {}
    channels = {each["ChannelName"]: each["DataSource"] for each in described.get("InputDataConfig") or ()}
    checkpoint = (channels.get("checkpoint") or {}).get("S3DataSource") or {}
    yield "hyperparameter initial_checkpoint_uri", given.get("initial_checkpoint_uri"), checkpoint.get("S3Uri")
    yield "hyperparameter data_bucket", given.get("data_bucket"), settings.bucket
    artifact = (described.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
    yield "output model", artifact, expected.outputs["model"]


def _processed(described: Mapping[str, Any], expected: Expected, settings: Settings) -> Iterator[tuple[str, Any, Any]]:
    """The same of what only a processing job has."""
    yield "role", described.get("RoleArn"), settings.processing_role_arn
    if expected.inputs is not None:
        read = {each["InputName"]: each.get("S3Input") for each in described.get("ProcessingInputs") or ()}
        for name in sorted({*read, *expected.inputs} - expected.chosen):
            yield f"input {name}", *_places(read.get(name), expected.inputs.get(name), f"{_LOCAL}/input/{name}")
    outputs = (described.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
    wrote = {each["OutputName"]: each.get("S3Output") for each in outputs}
    for name, uri in expected.outputs.items():
        yield f"output {name}", *_places(wrote.get(name), uri, f"{_LOCAL}/output/{name}")


def _places(found: Mapping[str, Any] | None, uri: str | None, local: str) -> tuple[str | None, str | None]:
    """Both addresses, and the folder in the container where it is another one."""
    place = None if found is None else str(found.get("S3Uri"))
    if found is not None and found.get("LocalPath") != local:
        place = f"{place} at {found.get('LocalPath')}"
    return place, uri


def _late(ran: Ran, name: str) -> Iterator[str]:
    """What was written after the job had ended.

    S3 tells whole seconds, the rest is cut off (https://github.com/minio/minio-go/pull/1638 shows AWS's answers), and
    SageMaker milliseconds: an object of the job's own is later only where the clocks are apart, and one of the same
    seconds is not told apart. A training ends when its artifact is uploaded:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html
    """
    ended = ran.described.get(f"{ran.expected.kind}EndTime")
    late = sorted(uri for uri, written in ran.written.items() if ended is None or written > ended + CLOCKS)
    anew = f"a new execution {_ANEW.get(ran.expected.step, 'makes a new version')}"
    if late:
        more = f" and {len(late) - _SHOWN} more" if len(late) > _SHOWN else ""
        yield (
            f"{', '.join(late[:_SHOWN])}{more}: written after {name} had ended ({ended}), so by somebody else; an "
            f"administrator finds out who, and {anew}."
        )
    for output, uri in ran.expected.outputs.items():
        if not any(each.startswith(uri) for each in ran.written):
            yield f"Nothing lies at {uri}, where {name} wrote its {output}; {anew}."


def _told(value: str | None) -> str:
    return "absent" if value is None else value or "empty"
