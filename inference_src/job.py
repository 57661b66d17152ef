# SPDX-License-Identifier: Apache-2.0
"""A SageMaker Processing job's directory: what the platform's files say, nothing assumed.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from inference_src.errors import InputError

PLATFORM_ROOT = PurePosixPath("/opt/ml")
MAX_MESSAGE = 1024
"""What SageMaker keeps of a job's ExitMessage, in characters."""


@dataclass(frozen=True)
class ProcessingJob:
    """Where a job's inputs lie and its outputs go, by name."""

    root: Path
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]

    def input(self, name: str) -> Path:
        """Give an input's folder.

        Raises:
            InputError: The job has no such input, or nothing lies there.
        """
        folder = self.inputs.get(name)
        if folder is None or not folder.is_dir() or not any(folder.iterdir()):
            raise InputError(f"the job's input {name!r} is missing or empty; see the step's ProcessingInputs")
        return folder

    def given(self, name: str) -> Path | None:
        """Give an optional input's folder, or None where it holds only the file that says `none`."""
        folder = self.input(name)
        return None if [path.name for path in folder.iterdir()] == ["none"] else folder

    def output(self, name: str) -> Path:
        """Give an output's folder.

        Raises:
            InputError: The job has no such output.
        """
        if name not in self.outputs:
            raise InputError(f"the job's output {name!r} is missing; see the step's ProcessingOutputConfig")
        return self.outputs[name]


def ml_root(environment: Mapping[str, str]) -> Path:
    """Give the platform's root: `MAPGATE_ML_ROOT`, by default /opt/ml."""
    return Path(environment.get("MAPGATE_ML_ROOT") or PLATFORM_ROOT)


def read_job(root: Path) -> ProcessingJob:
    """Read `config/processingjobconfig.json` under the root.

    Raises:
        InputError: The file is missing or is not what the platform writes.
    """
    path = root / "config" / "processingjobconfig.json"
    try:
        config = _Config.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path}: cannot be read as a processing job ({str(error)[:200]})") from error
    inputs = {entry.name: _moved(entry.s3.local_path, root) for entry in config.inputs if entry.s3}
    outputs = {entry.name: _moved(entry.s3.local_path, root) for entry in config.output_config.outputs if entry.s3}
    return ProcessingJob(root, inputs, outputs)


def write_message(root: Path, sentence: str) -> None:
    """Leave the sentence that becomes the job's ExitMessage."""
    path = root / "output" / "message"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(sentence[:MAX_MESSAGE])


def _moved(local_path: str, root: Path) -> Path:
    path = PurePosixPath(local_path)
    return root / path.relative_to(PLATFORM_ROOT) if path.is_relative_to(PLATFORM_ROOT) else Path(path)


class _Place(BaseModel):
    local_path: Annotated[str, Field(alias="LocalPath")]


class _Input(BaseModel):
    name: Annotated[str, Field(alias="InputName")]
    s3: Annotated[_Place | None, Field(alias="S3Input")] = None


class _Output(BaseModel):
    name: Annotated[str, Field(alias="OutputName")]
    s3: Annotated[_Place | None, Field(alias="S3Output")] = None


class _OutputConfig(BaseModel):
    outputs: Annotated[list[_Output], Field(alias="Outputs")] = []


class _Config(BaseModel):
    inputs: Annotated[list[_Input], Field(alias="ProcessingInputs")] = []
    output_config: Annotated[_OutputConfig, Field(alias="ProcessingOutputConfig")] = _OutputConfig()
