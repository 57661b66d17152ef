# SPDX-License-Identifier: Apache-2.0
"""The directory in which SageMaker runs a job, read from the platform's own files.

The same on SageMaker, in a container and on a laptop: only the root moves, by `MAPGATE_ML_ROOT`.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

from training_src.errors import ConfigurationError, DataError, MapgateError

# What the platform's files call the root, wherever it is.
PLATFORM_ROOT = "/opt/ml"
# SageMaker shows the first 1,024 characters of a failure.
LONGEST_MESSAGE = 1024


def ml_root() -> Path:
    """The job's directory: `/opt/ml`, or where `MAPGATE_ML_ROOT` says."""
    return Path(os.environ.get("MAPGATE_ML_ROOT") or PLATFORM_ROOT)


class Job(Protocol):
    """Either kind of job."""

    failure_file: ClassVar[str]

    @classmethod
    def load(cls) -> Self:
        """Read the platform's files below `ml_root()`."""
        ...


AnyJob = TypeVar("AnyJob", bound=Job)


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
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Self:
        """Read `input/config/{hyperparameters,inputdataconfig}.json`.

        Raises:
            ConfigurationError: A file is missing or no JSON object.
        """
        root = ml_root()
        config = root / "input" / "config"
        names = _read_object(config / "inputdataconfig.json")
        return cls(
            root,
            {name: str(value) for name, value in _read_object(config / "hyperparameters.json").items()},
            {name: root / "input" / "data" / name for name in names},
        )

    def channel(self, name: str) -> Path | None:
        """The folder of an input channel, or None where it was not given."""
        folder = self.channels.get(name)
        return folder if folder and _is_given(folder) else None

    @property
    def model_dir(self) -> Path:
        """What ends up in model.tar.gz."""
        return _made(self.root / "model")

    @property
    def checkpoint_dir(self) -> Path:
        """What SageMaker uploads while the job runs, and brings back when it starts again."""
        return _made(self.root / "checkpoints")

    @property
    def output_dir(self) -> Path:
        """What ends up in output.tar.gz."""
        return _made(self.root / "output" / "data")


@dataclass(frozen=True)
class ProcessingJob:
    """A processing job.

    Attributes:
        root: The job's directory.
        inputs, outputs: Folder of each.
        environment: What the job's definition sets.
        destinations: S3 prefix of each output.
    """

    failure_file: ClassVar[str] = "output/message"

    root: Path
    inputs: Mapping[str, Path] = field(default_factory=dict)
    outputs: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    destinations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Self:
        """Read `config/processingjobconfig.json`, whose fields are those of CreateProcessingJob.

        Raises:
            ConfigurationError: The file is missing or no JSON object.
        """
        root = ml_root()
        config = _read_object(root / "config" / "processingjobconfig.json")
        outputs = (config.get("ProcessingOutputConfig") or {}).get("Outputs") or []
        return cls(
            root,
            {item["InputName"]: _local(root, item["S3Input"]) for item in config.get("ProcessingInputs") or []},
            {item["OutputName"]: _local(root, item["S3Output"]) for item in outputs},
            dict(config.get("Environment") or {}),
            {item["OutputName"]: item["S3Output"].get("S3Uri", "") for item in outputs},
        )

    def input(self, name: str) -> Path | None:
        """The folder of an input, or None where it was not given."""
        folder = self.inputs.get(name)
        return folder if folder and _is_given(folder) else None

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
    except Exception as error:
        if not isinstance(error, MapgateError):
            traceback.print_exc()
        _leave_failure(error, ml_root() / job.failure_file)
        return int(getattr(error, "exit_code", 1))
    return 0


def _leave_failure(error: Exception, file: Path) -> None:
    sentences = error.sentences if isinstance(error, DataError) else [str(error) or type(error).__name__]
    for sentence in sentences:
        print(sentence, file=sys.stderr, flush=True)
    _leave(" ".join(sentences), file)


def _leave(sentence: str, file: Path) -> None:
    message = " ".join(sentence.split())
    if len(message) > LONGEST_MESSAGE:
        message = message[: LONGEST_MESSAGE - 4] + " ..."
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(file.name + ".partial")
    beside.write_text(message, encoding="utf-8")
    beside.replace(file)


def _is_given(folder: Path) -> bool:
    """Whether an optional input was given: its default is a prefix that holds one object called `none`."""
    return folder.is_dir() and any(entry.name != "none" for entry in folder.iterdir())


def _local(root: Path, place: Mapping[str, Any]) -> Path:
    path = str(place["LocalPath"])
    return root / path.removeprefix(PLATFORM_ROOT).lstrip("/") if path.startswith(PLATFORM_ROOT) else Path(path)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{file} is missing: SageMaker writes it for every job; elsewhere set MAPGATE_ML_ROOT."
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"{file} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file} holds no JSON object.")
    return content
