# SPDX-License-Identifier: Apache-2.0
"""What MeasureServing left: the detections and timings of each model in each runtime."""

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training_src.evaluation.boxes import Detections
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.test_set import digest


@dataclass(frozen=True)
class Timings:
    """How fast a runtime answered; None where that is unknown.

    Attributes:
        precision: Such as `f32`.
        images_per_second: With requests side by side.
        latency_milliseconds: By `p50`, `p90`, `p99`, with one request after the other.
        load_seconds: From the start of the process to the first answer.
        resident_megabytes: Memory of the server.
    """

    precision: str = "f32"
    images_per_second: float | None = None
    latency_milliseconds: Mapping[str, float] = field(default_factory=dict)
    load_seconds: float | None = None
    resident_megabytes: float | None = None


@dataclass(frozen=True)
class Measurement:
    """One runtime's answers to the test set.

    Attributes:
        runtime: Its name.
        detections: In the columns of `detections.npz`.
        images: How many images it answered.
        test_set: Digest of these images, as `TestSet` has one.
        timings: Its speed.
    """

    runtime: str
    detections: Detections
    images: int
    test_set: str
    timings: Timings


@dataclass(frozen=True)
class ChampionMeasurements:
    """The champion's runtimes, or the reason why there are none.

    Attributes:
        runtimes: What was measured, by name.
        runtime: The one by which it serves, where that is known.
        label_map: The champion's own names by id; None where it is not known.
        reason: Why it was not measured.
    """

    runtimes: Mapping[str, Measurement] = field(default_factory=dict)
    runtime: str | None = None
    label_map: Mapping[int, str] | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Measurements:
    """The challenger's runtimes, and the champion's if there is a champion.

    Attributes:
        challenger: Its runtimes by name.
        model: Digest of the archive that was measured; None where it is not known.
        champion: None when nothing serves yet.
    """

    challenger: Mapping[str, Measurement]
    model: str | None
    champion: ChampionMeasurements | None


def read_measurements(folder: Path) -> Measurements:
    """Read `measurements.json` and all that it names.

    A champion that cannot be read is a fact for the gate, not an error: it carries its reason.

    Raises:
        EvaluationError: The index or something of the challenger is missing or not what it should be.
    """
    index = _read_json(folder / "measurements.json")
    if index.get("schema_version") != 1:
        raise EvaluationError(
            f"{folder}/measurements.json: schema_version is not 1; images of one version belong together"
        )
    shards = str((index.get("test") or {}).get("sha256") or "unknown")
    entry = index.get("challenger") or {}
    names = entry.get("runtimes") or []
    if not names:
        raise EvaluationError(f"{folder}/measurements.json: no runtime of the challenger was measured")
    challenger = {name: _read_measurement(folder / "challenger" / name, shards) for name in names}
    return Measurements(challenger, entry.get("model_sha256"), _read_champion(folder, index.get("champion"), shards))


def _read_champion(folder: Path, entry: Mapping[str, Any] | None, shards: str) -> ChampionMeasurements | None:
    if entry is None:
        return None
    recorded = entry.get("runtime")
    if entry.get("error"):
        return ChampionMeasurements(runtime=recorded, reason=str(entry["error"]).rstrip("."))
    names = entry.get("runtimes") or []
    if not names:
        return ChampionMeasurements(runtime=recorded, reason="none of its runtimes was measured")
    try:
        found = {name: _read_measurement(folder / "champion" / name, shards) for name in names}
        label_map = {int(one["id"]): str(one["name"]) for one in entry.get("classes") or []}
    except EvaluationError as error:
        return ChampionMeasurements(runtime=recorded, reason=str(error).rstrip("."))
    except (KeyError, TypeError, ValueError) as error:
        return ChampionMeasurements(runtime=recorded, reason=f"its list of classes cannot be read: {error!r}")
    return ChampionMeasurements(found, recorded, label_map or None)


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
    timings = _timings(_read_json(folder / "timings.json"))
    return Measurement(folder.name, detections, images, digest(names, shards), timings)


def _timings(content: Mapping[str, Any]) -> Timings:
    latencies = content.get("latency_milliseconds") or {}
    known = {str(name): _positive(value) for name, value in latencies.items()}
    return Timings(
        precision=str(content.get("precision") or "f32"),
        images_per_second=_positive(content.get("images_per_second")),
        latency_milliseconds={name: value for name, value in known.items() if value is not None},
        load_seconds=_positive(content.get("load_seconds")),
        resident_megabytes=_positive(content.get("resident_megabytes")),
    )


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path}: cannot be read as JSON ({error}); measure again") from error
    if not isinstance(content, dict):
        raise EvaluationError(f"{path}: holds no JSON object; measure again")
    return content
