# SPDX-License-Identifier: Apache-2.0
"""A checkpoint, with the config and the label map beside it, to what model.tar.gz holds and a server takes."""

import shutil
from pathlib import Path

from training_src.data.label_map import read_label_map
from training_src.errors import ConfigurationError
from training_src.export.artifact import write_untrained
from training_src.export.beside import beside
from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.legacy import mapping_table
from training_src.models.config.pipeline import load
from training_src.training.records import Records


def export_artifact(
    source: str,
    output: Path,
    pipeline_config: Path | None = None,
    label_map: Path | None = None,
    calibration: Path | None = None,
) -> None:
    """Write each runtime's form, `label_map.pbtxt`, `pipeline.config` and `model.json`.

    Args:
        source: The checkpoint.
        output: The folder to write.
        pipeline_config: Of the detector; None for the one beside the checkpoint.
        label_map: Of the classes that are to be detected; None for the one beside the checkpoint.
        calibration: A folder of labelled images; given, an int8 form is written too.

    Raises:
        MapgateError: If config, checkpoint, label map or images do not fit, or something is at `output` already.
    """
    if output.exists() and any(output.iterdir()):
        raise ConfigurationError(f"{output}: something is there already; give another folder")
    pipeline_config = pipeline_config or beside(source, "pipeline.config", "--pipeline-config")
    labels = read_label_map(label_map or beside(source, "label_map.pbtxt", "--label-map"))
    records = Records(calibration) if calibration else None
    description = load(pipeline_config, labels.greatest_id)
    print(mapping_table(description.mapped), end="\n" if description.mapped else "")
    detector = build_detector(description.config.model)
    checkpoint.restore(detector.variables(), source, "full")
    unfinished = output.with_name(f"{output.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    write_untrained(unfinished, detector, labels, pipeline_config.resolve().parent.name, description.text(), records)
    if output.exists():
        output.rmdir()
    unfinished.rename(output)
