# SPDX-License-Identifier: Apache-2.0
"""The directory in which SageMaker runs a job, read from the platform's own files.

The same on SageMaker, in a container and on a laptop: only the root moves, by `MAPGATE_ML_ROOT`.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AliasChoices, AliasPath, BaseModel, Field, TypeAdapter, ValidationError, model_validator

from containers.contract.errors import ConfigurationError, DataError, MapgateError, first_fault
from containers.contract.files import write_whole

PLATFORM_ROOT = "/opt/ml"
"""What the platform's files call the root, wherever it is."""
ELSEWHERE = "elsewhere"
"""Below a root that was moved: what the container has outside `/opt/ml`, where a laptop's user may not write."""
LONGEST_MESSAGE = 1024
"""SageMaker shows so many characters of a failure."""


def ml_root() -> Path:
    """The job's directory: `/opt/ml`, or where `MAPGATE_ML_ROOT` says."""
    return Path(os.environ.get("MAPGATE_ML_ROOT") or PLATFORM_ROOT)


@dataclass(frozen=True)
class TrainingJob:
    """A training job.

    Attributes:
        root: The job's directory.
        hyperparameters: As strings, as SageMaker gives them.
        channels: Folder of each input channel.
    """

    failure_file: ClassVar[str] = "output/failure"

    root: Path
    hyperparameters: Mapping[str, str]
    channels: Mapping[str, Path]

    @classmethod
    def load(cls) -> Self:
        """Read `input/config/{hyperparameters,inputdataconfig}.json`.

        Raises:
            ConfigurationError: A file is missing or no JSON object.
        """
        root = ml_root()
        config = root / "input" / "config"
        names = _read(config / "inputdataconfig.json", dict[str, Any])
        hyperparameters = _read(config / "hyperparameters.json", dict[str, Any])
        return cls(
            root,
            {name: str(value) for name, value in hyperparameters.items()},
            {name: root / "input" / "data" / name for name in names},
        )

    def channel(self, name: str) -> Path | None:
        """The folder of an input channel, or None where it was not given."""
        folder = self.channels.get(name)
        return folder if folder and _is_given(folder) else None

    def place(self, path: str) -> Path:
        """Where a path of the container lies: a relative one in the working directory, as it would there."""
        return container_path(self.root, path)

    @property
    def tensorboard_path(self) -> Path | None:
        """Where the platform looks for TensorBoard's events; None where it does not look.

        Raises:
            ConfigurationError: The file that says so is not what the platform writes.
        """
        return self._local_path("tensorboardoutputconfig.json", f"{PLATFORM_ROOT}/output/tensorboard")

    @property
    def model_dir(self) -> Path:
        """What ends up in model.tar.gz."""
        return _made(self.root / "model")

    @property
    def checkpoint_dir(self) -> Path:
        """What SageMaker uploads while the job runs, and brings back when it starts again.

        Raises:
            ConfigurationError: The file that says where it lies is not what the platform writes.
        """
        default = f"{PLATFORM_ROOT}/checkpoints"
        told = self._local_path("checkpointconfig.json", default)
        # What lies in the model's folder would become a part of the model.
        if told is None or told.is_relative_to(self.root / "model"):
            told = self.place(default)
        return _made(told)

    @property
    def output_dir(self) -> Path:
        """What ends up in output.tar.gz."""
        return _made(self.root / "output" / "data")

    def _local_path(self, name: str, default: str) -> Path | None:
        """The `LocalPath` of a file that the platform writes where the job has such a setting.

        Their names: https://github.com/awslabs/sagemaker-debugger, `smdebug/core/config_constants.py`.
        """
        file = self.root / "input" / "config" / name
        return self.place(_read(file, _LocalPath).local_path or default) if file.is_file() else None


@dataclass(frozen=True)
class ProcessingJob:
    """A processing job.

    Attributes:
        root: The job's directory.
        inputs, outputs: Folder of each.
        environment: What the job's definition sets.
        sources, destinations: S3 address of each input and output; "" where it is not told.
        maximum_seconds: After which the platform stops the job; None where it is not told.
    """

    failure_file: ClassVar[str] = "output/message"

    root: Path
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    environment: Mapping[str, str]
    sources: Mapping[str, str]
    destinations: Mapping[str, str]
    maximum_seconds: int | None = None

    @classmethod
    def load(cls) -> Self:
        """Read `config/processingjobconfig.json`, whose fields are those of CreateProcessingJob.

        Raises:
            ConfigurationError: The file is missing or not what the platform writes.
        """
        root = ml_root()
        config = _read(root / "config" / "processingjobconfig.json", _ProcessingConfig)
        inputs = {one.name: one.place for one in config.inputs or () if one.place}
        outputs = {one.name: one.place for one in config.outputs or () if one.place}
        return cls(
            root,
            {name: place.below(root) for name, place in inputs.items()},
            {name: place.below(root) for name, place in outputs.items()},
            config.environment or {},
            {name: place.s3_uri for name, place in inputs.items()},
            {name: place.s3_uri for name, place in outputs.items()},
            config.maximum_seconds,
        )

    def input(self, name: str) -> Path | None:
        """The folder of an input, or None where it was not given.

        Raises:
            ConfigurationError: It is empty: where it is not given, the object `none` lies there.
        """
        folder = self.inputs.get(name)
        if folder and not (folder.is_dir() and any(folder.iterdir())):
            raise ConfigurationError(f"The job's input \"{name}\" is missing or empty; see the step's inputs.")
        return folder if folder and _is_given(folder) else None

    def required_input(self, name: str) -> Path:
        """The folder of an input.

        Raises:
            ConfigurationError: It was not given.
        """
        folder = self.input(name)
        if folder is None:
            raise ConfigurationError(f'The job has no input "{name}"; add it to the step.')
        return folder

    def variable(self, name: str) -> str:
        """What the process' environment says, else the job's definition; "" where neither does."""
        return (os.environ.get(name) or self.environment.get(name) or "").strip()

    def output(self, name: str) -> Path:
        """The folder of an output.

        Raises:
            ConfigurationError: The job has no such output.
        """
        if name not in self.outputs:
            known = ", ".join(sorted(self.outputs)) or "none"
            raise ConfigurationError(f'The job has no output "{name}" (it has: {known}); add it to the step.')
        return _made(self.outputs[name])

    def leave_message(self, sentence: str) -> None:
        """Tell the pipeline what came of the job: the sentence becomes `ExitMessage` of DescribeProcessingJob.

        https://docs.aws.amazon.com/sagemaker/latest/dg/byoc-metadata.html
        """
        _leave(sentence, self.root / self.failure_file)


class Hosts(BaseModel):
    """The instances of a job, as `resourceconfig.json` names them: this one, and all of them."""

    current_host: str
    hosts: tuple[str, ...]

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.current_host not in self.hosts:
            raise ValueError(f"current_host {self.current_host} is none of hosts {', '.join(self.hosts)}")
        return self


def read_hosts(config: Path) -> Hosts | None:
    """Who shares a job, by the folder of its platform files; None where the platform does not say.

    Raises:
        ConfigurationError: The file is not what the platform writes.
    """
    file = config / "resourceconfig.json"
    return _read(file, Hosts) if file.is_file() else None


AnyJob = TypeVar("AnyJob", TrainingJob, ProcessingJob)


def run(work: Callable[[AnyJob], None], job: type[AnyJob]) -> int:
    """Do a job's work and leave its failure, if any, where the platform looks for it.

    Args:
        work: Takes the loaded job.
        job: `TrainingJob` or `ProcessingJob`.

    Returns:
        The exit code: 0 done, 1 the work failed, 2 bad input. An error says which by its `exit_code`.
    """
    try:
        work(job.load())
    except MapgateError as error:
        sentences = error.sentences if isinstance(error, DataError) else [str(error)]
        print(*sentences, sep="\n", file=sys.stderr, flush=True)
        _leave_failure(" ".join(sentences), job)
        return error.exit_code
    except Exception as error:
        traceback.print_exc()
        _leave_failure(f"{error!r}; the log holds the trace", job)
        return 1
    return 0


def _leave_failure(sentence: str, job: type[AnyJob]) -> None:
    """What cannot be written there stays in the log, and hides nothing of what came before."""
    file = ml_root() / job.failure_file
    try:
        _leave(sentence, file)
    except OSError as error:
        print(f"The failure could not be written to {file}: {error}.", file=sys.stderr, flush=True)


def _leave(sentence: str, file: Path) -> None:
    message = " ".join(sentence.split())
    if len(message) > LONGEST_MESSAGE:
        message = message[: LONGEST_MESSAGE - 4] + " ..."
    write_whole(file, message)


def _is_given(folder: Path) -> bool:
    """Whether an optional input was given: its default is a prefix that holds one object called `none`."""
    return folder.is_dir() and any(entry.name != "none" for entry in folder.iterdir())


def container_path(root: Path, path: str) -> Path:
    """Where a path of the container lies when `root` stands for `/opt/ml`; a relative one stays relative."""
    pure = PurePosixPath(os.path.normpath(path) if path.startswith("/") else path)
    if pure.is_relative_to(PLATFORM_ROOT):
        return root / pure.relative_to(PLATFORM_ROOT)
    if root == Path(PLATFORM_ROOT) or not pure.is_absolute():
        return Path(path)
    return root / ELSEWHERE / str(pure).lstrip("/")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class _Place(BaseModel):
    local_path: Annotated[str, Field(alias="LocalPath")]
    s3_uri: Annotated[str, Field(alias="S3Uri")] = ""

    def below(self, root: Path) -> Path:
        """Where the place is when the platform's root is elsewhere."""
        path = PurePosixPath(self.local_path)
        return root / path.relative_to(PLATFORM_ROOT) if path.is_relative_to(PLATFORM_ROOT) else Path(path)


class _LocalPath(BaseModel):
    local_path: Annotated[str | None, Field(alias="LocalPath")] = None


class _Named(BaseModel):
    name: Annotated[str, Field(validation_alias=AliasChoices("InputName", "OutputName"))]
    place: Annotated[_Place | None, Field(validation_alias=AliasChoices("S3Input", "S3Output"))] = None


class _ProcessingConfig(BaseModel):
    """What the platform leaves out it may also call null."""

    inputs: Annotated[list[_Named] | None, Field(alias="ProcessingInputs")] = None
    outputs: Annotated[list[_Named] | None, Field(validation_alias=AliasPath("ProcessingOutputConfig", "Outputs"))] = (
        None
    )
    environment: Annotated[dict[str, str] | None, Field(alias="Environment")] = None
    maximum_seconds: Annotated[
        int | None, Field(validation_alias=AliasPath("StoppingCondition", "MaxRuntimeInSeconds"))
    ] = None


Content = TypeVar("Content")


def _read(file: Path, kind: type[Content]) -> Content:
    try:
        return TypeAdapter(kind).validate_json(file.read_bytes())
    except FileNotFoundError:
        raise ConfigurationError(
            f"{file} is missing: SageMaker writes it for every job; elsewhere set MAPGATE_ML_ROOT."
        ) from None
    except ValidationError as error:
        raise ConfigurationError(f"{file} is not as SageMaker writes it: {first_fault(error)}.") from None
