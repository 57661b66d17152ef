# SPDX-License-Identifier: Apache-2.0
"""The extracted model.tar.gz: what its `model.json` says, checked before anything is loaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from containers.contract.errors import first_fault
from inference_src.errors import ModelError
from inference_src.runtimes import available
from inference_src.suppression import Suppression


class ObjectClass(BaseModel):
    """A class of the label map."""

    id: Annotated[int, Field(ge=1)]
    name: Annotated[str, Field(min_length=1)]


class InputSize(BaseModel):
    """Height and width in pixels to which the model's graph brings every image."""

    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]


class Runtime(BaseModel):
    """One form of the model.

    Attributes:
        path: Where it lies in the archive.
        precisions: In which it may run.
        suppression: Given where the form ends at boxes and scores; what is then to be done with these.
    """

    path: str
    precisions: Annotated[list[str], Field(min_length=1)]
    suppression: Suppression | None = None

    @field_validator("path")
    @classmethod
    def _lies_inside(cls, path: str) -> str:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"leads out of the model: {path!r}")
        return path


class Dataset(BaseModel):
    """The data set that the model was trained on."""

    sha256: str


class ModelDescription(BaseModel):
    """`model.json`, as far as serving needs it; what else it holds is left alone."""

    schema_version: Literal[1]
    architecture: str
    input: InputSize
    classes: Annotated[list[ObjectClass], Field(min_length=1)]
    dataset: Dataset | None = None
    runtimes: Annotated[dict[str, Runtime], Field(min_length=1)]

    @field_validator("classes")
    @classmethod
    def _ids_differ(cls, classes: list[ObjectClass]) -> list[ObjectClass]:
        if len({entry.id for entry in classes}) < len(classes):
            raise ValueError("two classes share an id")
        return sorted(classes, key=lambda entry: entry.id)

    @model_validator(mode="after")
    def _suppressed_classes_exist(self) -> Self:
        known = [entry.id for entry in self.classes]
        for name, runtime in self.runtimes.items():
            if runtime.suppression is not None and runtime.suppression.class_ids != known:
                raise ValueError(f"runtimes.{name}.suppression.class_ids are not the ids of classes")
        return self


def read_description(model_dir: Path) -> ModelDescription:
    """Read `model.json`; its classes come sorted by id.

    Raises:
        ModelError: The file is missing or does not say what it must.
    """
    path = model_dir / "model.json"
    if not path.is_file():
        raise ModelError(f"{path}: there is no model here; extract a model.tar.gz into {model_dir}")
    try:
        return ModelDescription.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ModelError(f"{path}: {first_fault(error)}; export the model again") from error


def choose_runtime(
    model_dir: Path,
    description: ModelDescription,
    environment: Mapping[str, str],
    installed: Sequence[str] | None = None,
) -> tuple[str, str]:
    """Take runtime and precision from `MAPGATE_RUNTIME` and `MAPGATE_PRECISION`, or the first that the model has.

    Args:
        model_dir: The extracted model.
        description: Its `model.json`.
        environment: Of the process.
        installed: The runtimes that this image has, those that are taken first before others; unless said, all whose
            library can be imported here.

    Raises:
        ModelError: The model or this image has no such runtime, or not in that precision, or its file is missing.
    """
    installed = available() if installed is None else installed
    default = next((name for name in installed if name in description.runtimes), "")
    runtime = environment.get("MAPGATE_RUNTIME") or default
    if not runtime:
        raise ModelError(f"the model has {_listed(description.runtimes)}, {_lacking(installed)}")
    known = description.runtimes.get(runtime)
    if known is None:
        raise ModelError(f"MAPGATE_RUNTIME={runtime}: the model has {_listed(description.runtimes)}")
    if runtime not in installed:
        raise ModelError(f"MAPGATE_RUNTIME={runtime}: {_lacking(installed)}")
    precision = environment.get("MAPGATE_PRECISION") or known.precisions[0]
    if precision not in known.precisions:
        raise ModelError(f"MAPGATE_PRECISION={precision}: the model has {_listed(known.precisions)} for {runtime}")
    if not (model_dir / known.path).exists():
        raise ModelError(f"{model_dir / known.path}: missing, though model.json names it; export the model again")
    return runtime, precision


def _lacking(installed: Sequence[str]) -> str:
    return (
        f"this image runs {' and '.join(installed) or 'none'}: serve the model with the image that its version names, "
        "or export it again"
    )


def _listed(names: Mapping[str, Runtime] | list[str]) -> str:
    return ", ".join(sorted(names))
