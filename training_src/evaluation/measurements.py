# SPDX-License-Identifier: Apache-2.0
"""What MeasureServing left: the detections and timings of each model in each runtime."""

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from containers.contract.errors import first_fault
from training_src.evaluation.boxes import Booleans, Detections
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.test_set import digest

Document = TypeVar("Document", bound=BaseModel)


def _known(value: object) -> float | None:
    """A number above 0; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        return None
    return float(value)


Known = Annotated[float | None, BeforeValidator(_known)]
Latencies = Annotated[
    dict[str, Known], AfterValidator(lambda found: {name: one for name, one in found.items() if one is not None})
]


class Timings(BaseModel):
    """How fast a runtime answered, as `timings.json` says it; None where that is unknown.

    Attributes:
        precision: Such as `f32`.
        images_per_second: With requests side by side.
        latency_milliseconds: By `p50`, `p90`, `p99`, with one request after the other.
        load_seconds: From the start of the process to the first answer.
        resident_megabytes: Memory of the server.
    """

    precision: str = "f32"
    images_per_second: Known = None
    latency_milliseconds: Latencies = Field(default_factory=dict)
    load_seconds: Known = None
    resident_megabytes: Known = None


class _Class(BaseModel):
    id: int
    name: str


class _Entry(BaseModel):
    """What `measurements.json` says of a model: what was measured, or why it could not be."""

    runtimes: list[str] = Field(default_factory=list)
    model_sha256: str | None = None
    runtime: str | None = None
    error: str | None = None
    classes: list[_Class] = Field(default_factory=list)
    artifact_megabytes: Known = None


class _Shards(BaseModel):
    sha256: str = "unknown"


class _Refused(BaseModel):
    source_id: str
    sentence: str


class _Index(BaseModel):
    """`measurements.json`; other models' entries are read by themselves, as they may be damaged."""

    schema_version: Literal[1]
    test: _Shards = Field(default_factory=_Shards)
    challenger: _Entry
    champion: object = None
    best: object = None
    refused: list[_Refused] = Field(default_factory=list)


@dataclass(frozen=True)
class Measurement:
    """One runtime's answers to the test set.

    Attributes:
        runtime: Its name.
        detections: In the columns of `detections.npz`.
        images: How many images it answered.
        test_set: Digest of these images, as `TestSet` has one.
        timings: Its speed.
        untimed: Why nothing is known of its speed; None where it was measured.
    """

    runtime: str
    detections: Detections
    images: int
    test_set: str
    timings: Timings
    untimed: str | None = None

    def subset(self, images: Booleans) -> "Measurement":
        """The answers to some of the images, shape `(N,)`, which are counted anew from 0."""
        return replace(self, detections=self.detections.subset(images), images=int(images.sum()))


@dataclass(frozen=True)
class ChampionMeasurements:
    """The runtimes of what serves now, or of the best version that ever served, or why there are none.

    Attributes:
        runtimes: What was measured, by name.
        runtime: The one by which it serves, where that is known.
        label_map: Its own names by id; None where it is not known.
        reason: Why it was not measured.
    """

    runtimes: Mapping[str, Measurement] = field(default_factory=dict)
    runtime: str | None = None
    label_map: Mapping[int, str] | None = None
    reason: str | None = None

    def subset(self, images: Booleans) -> "ChampionMeasurements":
        """The answers to some of the images; see `Measurement.subset`."""
        return replace(self, runtimes={name: one.subset(images) for name, one in self.runtimes.items()})


@dataclass(frozen=True)
class Measurements:
    """The challenger's runtimes, and those of what it is compared with.

    Attributes:
        challenger: Its runtimes by name; none where it has no form that the measured image runs.
        model: Digest of the archive that was measured; None where it is not known.
        champion: None when nothing serves yet.
        refused: Why a server refused a test image, by its source id; such an image has no detections.
        best: The best version that ever served; None when there is none, or the champion is it.
        artifact_megabytes: Size of the challenger's archive in 2^20 bytes; None where it is not known.
    """

    challenger: Mapping[str, Measurement]
    model: str | None
    champion: ChampionMeasurements | None
    refused: Mapping[str, str] = field(default_factory=dict)
    best: ChampionMeasurements | None = None
    artifact_megabytes: float | None = None


def read_measurements(folder: Path) -> Measurements:
    """Read `measurements.json` and all that it names.

    Another model that cannot be read is a fact for the gate, not an error: it carries its reason.

    Raises:
        EvaluationError: The index or something of the challenger is missing or not what it should be.
    """
    index = _read_document(folder / "measurements.json", _Index)
    challenger = {
        name: _read_measurement(folder / "challenger" / name, index.test.sha256) for name in index.challenger.runtimes
    }
    champion = _read_other(folder / "champion", index.champion, index.test.sha256)
    best = _read_other(folder / "best", index.best, index.test.sha256)
    refused = {one.source_id: one.sentence for one in index.refused}
    size = index.challenger.artifact_megabytes
    return Measurements(challenger, index.challenger.model_sha256, champion, refused, best, size)


def _read_other(folder: Path, entry: object, shards: str) -> ChampionMeasurements | None:
    if entry is None:
        return None
    try:
        entry = _Entry.model_validate(entry)
    except ValidationError as error:
        return ChampionMeasurements(reason=f"what was measured of it cannot be read: {first_fault(error)}")
    reason = entry.error or ("" if entry.runtimes else "none of its runtimes was measured")
    try:
        found = {name: _read_measurement(folder / name, shards) for name in ([] if reason else entry.runtimes)}
    except EvaluationError as error:
        found, reason = {}, str(error)
    label_map = {one.id: one.name for one in entry.classes} or None
    return ChampionMeasurements(found, entry.runtime, label_map, reason.rstrip(".") or None)


def _read_measurement(folder: Path, shards: str) -> Measurement:
    path = folder / "detections.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            boxes = np.asarray(arrays["boxes"], np.float64).reshape(-1, 4)
            detections = Detections(
                np.asarray(arrays["image_index"], np.int64),
                boxes,
                np.asarray(arrays["scores"], np.float64),
                np.asarray(arrays["classes"], np.int64),
            )
            images = int(arrays["images"])
            names = [str(name) for name in arrays["source_ids"]]
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise EvaluationError(f"{path}: not the detections of a runtime ({error}); measure again") from error
    if len(names) != images:
        raise EvaluationError(f"{path}: {images} images but {len(names)} source ids; measure again")
    timings = _read_document(folder / "timings.json", Timings)
    return Measurement(folder.name, detections, images, digest(names, shards), timings)


def _read_document(path: Path, kind: type[Document]) -> Document:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror}); measure again") from error
    except ValidationError as error:
        raise EvaluationError(f"{path}: {first_fault(error)}; measure again, with images of one version") from error
