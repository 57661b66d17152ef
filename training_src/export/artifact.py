# SPDX-License-Identifier: Apache-2.0
"""What goes into model.tar.gz: the same model for each runtime, and where it comes from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from containers.contract.files import write_whole
from training_src.data.label_map import LabelMap, write_label_map
from training_src.data.seen_groups import SeenGroups, write_seen
from training_src.export.calibration import calibration_images
from training_src.export.saved_model import save_model
from training_src.models.detector import Detector
from training_src.training.records import Records

SCHEMA_VERSION = 1
# Given as the size of the input where nothing bounds it.
UNBOUNDED = 1024
OPENVINO = "runtimes/openvino/model.xml"
OPENVINO_INT8 = "runtimes/openvino-int8/model.xml"
# TensorFlow Serving looks for numbered versions.
SAVED_MODEL = "1"


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from.

    Attributes:
        architecture: Its zoo name.
        pipeline_config: The description as trained, in text protobuf.
        dataset_sha256: Content hash of the prepared data set.
        steps: Steps of the training.
        seed: Its seed.
        fingerprint: Of config, hyperparameters and data.
        best_step: The step whose weights are exported.
        history: Losses and validations.
        initial_checkpoint: What it started from; None: drawn weights.
        seen: The groups of images that it and its ancestors have seen.
    """

    architecture: str
    pipeline_config: str
    dataset_sha256: str
    steps: int
    seed: int
    fingerprint: str
    best_step: int
    history: list[dict[str, float]]
    initial_checkpoint: Mapping[str, Any] | None = None
    seen: SeenGroups = field(default_factory=SeenGroups)


def write_artifact(
    folder: Path, detector: Detector, label_map: LabelMap, provenance: Provenance, calibration: Records | None = None
) -> None:
    """Write everything that the server, the evaluation and the registry need.

    Args:
        folder: SageMaker packs it into model.tar.gz.
        detector: With the weights to export.
        label_map: Its ids are the classes that can be detected.
        provenance: Where the model comes from.
        calibration: Given: an int8 form is asked for, and these images say in which ranges its numbers lie.
    """
    runtimes = _write_runtimes(folder, detector, list(label_map.names), calibration)
    write_label_map(label_map, folder / "label_map.pbtxt")
    write_whole(folder / "pipeline.config", provenance.pipeline_config)
    write_whole(folder / "history.json", json.dumps(provenance.history, indent=1))
    description = _model_json(detector, label_map.names, provenance, runtimes)
    description["seen"] = write_seen(provenance.seen, folder)
    write_whole(folder / "model.json", json.dumps(description, indent=1))


def write_untrained(
    folder: Path,
    detector: Detector,
    label_map: LabelMap,
    architecture: str,
    pipeline_config: str,
    calibration: Records | None = None,
) -> None:
    """Write the same of a detector whose weights no training here made, so that nothing is known of one.

    Args:
        folder: To write.
        detector: With the weights to export.
        label_map: Its ids are the classes that can be detected.
        architecture: By what name people know it.
        pipeline_config: Its description, in text protobuf.
        calibration: As in `write_artifact`.
    """
    runtimes = _write_runtimes(folder, detector, list(label_map.names), calibration)
    write_label_map(label_map, folder / "label_map.pbtxt")
    write_whole(folder / "pipeline.config", pipeline_config)
    description = _described(detector, label_map.names, architecture, runtimes)
    write_whole(folder / "model.json", json.dumps(description, indent=1))


def _write_runtimes(
    folder: Path, detector: Detector, class_ids: Sequence[int], calibration: Records | None
) -> dict[str, Any]:
    """The model in each form that it can have; what `model.json` says of them."""
    # Training takes two seconds less to start without OpenVINO.
    from training_src.export.int8 import save_int8
    from training_src.export.openvino_model import save_openvino, suppression_behind, why_not_convertible

    save_model(detector, class_ids, folder / SAVED_MODEL)
    runtimes: dict[str, Any] = {"tensorflow": {"path": SAVED_MODEL, "precisions": ["f32"]}}
    reason = why_not_convertible(detector)
    if reason:
        missing = "openvino and int8" if calibration else "openvino"
        print(f"{missing:<13} not written, only TensorFlow's float32: {reason}", flush=True)
        return runtimes
    numbers = suppression_behind(detector, class_ids)
    behind = {} if numbers is None else {"suppression": numbers}
    save_openvino(detector, class_ids, folder / OPENVINO)
    runtimes["openvino"] = {"path": OPENVINO, "precisions": ["f32"], **behind}
    if calibration is not None:
        written = save_int8(folder / OPENVINO, calibration_images(calibration), folder / OPENVINO_INT8)
        print(f"int8          {OPENVINO_INT8}: {written}", flush=True)
        runtimes["openvino-int8"] = {"path": OPENVINO_INT8, "precisions": ["int8"], **behind}
    return runtimes


def _model_json(
    detector: Detector, names: Mapping[int, str], provenance: Provenance, runtimes: Mapping[str, Any]
) -> dict[str, Any]:
    return _described(detector, names, provenance.architecture, runtimes) | {
        "dataset": {"sha256": provenance.dataset_sha256},
        "training": {
            "steps": provenance.steps,
            "seed": provenance.seed,
            "fingerprint": provenance.fingerprint,
            "best_step": provenance.best_step,
        },
        "initial_checkpoint": provenance.initial_checkpoint,
    }


def _described(
    detector: Detector, names: Mapping[int, str], architecture: str, runtimes: Mapping[str, Any]
) -> dict[str, Any]:
    """What `model.json` says of any model; of a training it knows nothing yet."""
    return {
        "schema_version": SCHEMA_VERSION,
        "architecture": architecture,
        "input": _input(detector),
        "classes": [{"id": number, "name": name} for number, name in names.items()],
        "dataset": None,
        "pipeline_config": "pipeline.config",
        "training": None,
        "initial_checkpoint": None,
        "runtimes": runtimes,
        "image_digest": None,
    }


def _input(detector: Detector) -> dict[str, int]:
    """The size to which images are brought; the greatest, where it depends on the image."""
    keep = detector.resizer.keep_aspect_ratio_resizer
    greatest = keep.max_dimension if keep else UNBOUNDED
    height, width = detector.input_size or (greatest, greatest)
    return {"height": height, "width": width}
