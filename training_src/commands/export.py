# SPDX-License-Identifier: Apache-2.0
"""`export`: a config and a checkpoint to what the OD API's exporter writes, or to what a server of ours takes."""

from pathlib import Path
from typing import Annotated, Literal

from training_src.data.label_map import read_label_map
from training_src.errors import BadInputError
from training_src.export.beside import beside
from training_src.models.config.pipeline import load

# What a SavedModel takes; `export.saved_model` has them with their signatures.
IMAGE_TENSOR = "image_tensor"
INPUT_TYPES = (IMAGE_TENSOR, "encoded_image_string_tensor", "tf_example", "float_image_tensor")


def run(
    *,
    checkpoint: str,
    output: Path,
    pipeline_config: Path | None = None,
    label_map: Path | None = None,
    input_type: Annotated[str, tuple(INPUT_TYPES)] = IMAGE_TENSOR,
    calibration: Path | None = None,
    artifact: bool = False,
    to: Literal["saved_model", "tflite"] = "saved_model",
    max_detections: int | None = None,
) -> int:
    """Write a SavedModel, and checkpoint and config beside it; or what model.tar.gz holds; or LiteRT files."""
    if to == "tflite":
        if artifact:
            raise BadInputError("--to tflite: --artifact writes what a server takes; leave one of them out")
        if input_type != IMAGE_TENSOR:
            raise BadInputError(f"--input-type {input_type}: with --to tflite a model takes pixels of its own size")
        if max_detections is not None and max_detections < 1:
            raise BadInputError(f"--max-detections {max_detections}: at least one box must be left; give 1 or more")
        _read_first(checkpoint, output, pipeline_config)
        _read_classes(checkpoint, label_map)

        from training_src.export.litert_checkpoint import export_litert

        export_litert(checkpoint, output, pipeline_config, label_map, calibration, max_detections)
        print(f"exported      {output}")
        return 0
    if max_detections is not None:
        raise BadInputError("--max-detections: only with --to tflite; elsewhere the config's max_total_detections says")
    if artifact:
        if input_type != IMAGE_TENSOR:
            raise BadInputError(f"--input-type {input_type}: with --artifact a model takes {IMAGE_TENSOR}, as served")
        _read_first(checkpoint, output, pipeline_config)
        _read_classes(checkpoint, label_map)

        # TensorFlow takes seconds, and has something to say.
        from training_src.export.checkpoint_artifact import export_artifact

        export_artifact(checkpoint, output, pipeline_config, label_map, calibration)
        print(f"exported      {output}")
        return 0
    config = _read_first(checkpoint, output, pipeline_config)

    from training_src.export.exporter import SAVED_MODEL, export

    export(config, checkpoint, output, label_map, input_type, calibration)
    print(f"exported      {output / SAVED_MODEL}")
    return 0


def _read_first(checkpoint: str, output: Path, pipeline_config: Path | None) -> Path:
    """The config's place, once it has been read: a faulty one costs no TensorFlow."""
    if output.is_dir() and any(output.iterdir()):
        raise BadInputError(f"{output}: something is there already; give another folder")
    config = pipeline_config or beside(checkpoint, "pipeline.config", "--pipeline-config")
    load(config, num_classes=1)
    return config


def _read_classes(checkpoint: str, label_map: Path | None) -> None:
    """The same of the label map."""
    read_label_map(label_map or beside(checkpoint, "label_map.pbtxt", "--label-map"))
