# SPDX-License-Identifier: Apache-2.0
"""A checkpoint, with the config and the label map beside it, to LiteRT files for edge devices."""

from pathlib import Path

from training_src.errors import ConfigurationError
from training_src.export.calibration import calibration_images
from training_src.export.described_checkpoint import described_checkpoint
from training_src.export.litert_metadata import LABELS, label_file
from training_src.export.litert_model import FLOAT16, INT8, litert_files, why_not
from training_src.export.new_folder import new_folder
from training_src.models.checkpoints import checkpoint


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
    with new_folder(output) as unfinished:
        given = described_checkpoint(source, pipeline_config, label_map, calibration)
        reason = why_not(given.detector)
        if reason:
            raise ConfigurationError(f"{given.config}: {reason}")
        checkpoint.restore(given.detector.variables(), source, "full")
        images = calibration_images(given.records) if given.records is not None else None
        files = litert_files(given.detector, given.labels, given.name, images, max_detections)
        unfinished.mkdir(parents=True)
        (unfinished / FLOAT16).write_bytes(files.float16)
        names = [given.labels.names[number] for number in sorted(given.labels.names)]
        (unfinished / LABELS).write_text(label_file(names), encoding="utf-8")
        if files.int8 is None:
            print("int8          not written: give --calibration, the folder of a prepared training split")
        else:
            (unfinished / INT8).write_bytes(files.int8)
            print(f"int8          {INT8}: {len(files.int8) / 1e6:.2f} MB, calibrated on {files.calibrated} images")
