# SPDX-License-Identifier: Apache-2.0
"""A checkpoint, with the config and the label map beside it, to LiteRT files for edge devices."""

import shutil
from pathlib import Path

from training_src.data.label_map import read_label_map
from training_src.errors import ConfigurationError
from training_src.export.beside import beside
from training_src.export.calibration import calibration_images
from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.legacy import mapping_table
from training_src.models.config.pipeline import load
from training_src.training.records import Records


def export_litert(
    source: str,
    output: Path,
    pipeline_config: Path | None = None,
    label_map: Path | None = None,
    calibration: Path | None = None,
    max_detections: int | None = None,
) -> None:
    """Write `model_float16.tflite`, `labels.txt` and, given images, `model_int8.tflite`.

    Args:
        source: The checkpoint.
        output: The folder to write.
        pipeline_config: Of the detector; None for the one beside the checkpoint.
        label_map: Of the classes that are to be detected; None for the one beside the checkpoint.
        calibration: A folder of labelled images, the training split's; None for float16 only.
        max_detections: In place of the config's `max_total_detections`; 1 or more.

    Raises:
        MapgateError: If config, checkpoint, label map or images do not fit, the detector cannot be given this form, or
            something is at `output` already.
    """
    if output.exists() and any(output.iterdir()):
        raise ConfigurationError(f"{output}: something is there already; give another folder")
    pipeline_config = pipeline_config or beside(source, "pipeline.config", "--pipeline-config")
    labels = read_label_map(label_map or beside(source, "label_map.pbtxt", "--label-map"))
    records = Records(calibration) if calibration else None
    description = load(pipeline_config, labels.greatest_id)
    print(mapping_table(description.mapped), end="\n" if description.mapped else "")
    detector = build_detector(description.config.model)

    # Needed by nothing else that the command writes.
    from training_src.export.litert_metadata import LABELS, label_file
    from training_src.export.litert_model import FLOAT16, INT8, litert_files, why_not

    reason = why_not(detector)
    if reason:
        raise ConfigurationError(f"{pipeline_config}: {reason}")
    checkpoint.restore(detector.variables(), source, "full")
    images = calibration_images(records) if records is not None else None
    files = litert_files(detector, labels, pipeline_config.resolve().parent.name, images, max_detections)
    unfinished = output.with_name(f"{output.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    (unfinished / FLOAT16).write_bytes(files.float16)
    names = [labels.names[number] for number in sorted(labels.names)]
    (unfinished / LABELS).write_text(label_file(names), encoding="utf-8")
    if files.int8 is None:
        print("int8          not written, only float16: give --calibration, the folder of a prepared training split")
    else:
        (unfinished / INT8).write_bytes(files.int8)
        print(f"int8          {INT8}: {len(files.int8) / 1e6:.2f} MB, calibrated on {files.calibrated} images")
    if output.exists():
        output.rmdir()
    unfinished.rename(output)
