# SPDX-License-Identifier: Apache-2.0
"""A checkpoint, with the config and the label map beside it, to what model.tar.gz holds and a server takes."""

from pathlib import Path

from training_src.export.artifact import write_untrained
from training_src.export.described_checkpoint import described_checkpoint
from training_src.export.new_folder import new_folder
from training_src.models.checkpoints import checkpoint


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
    with new_folder(output) as unfinished:
        given = described_checkpoint(source, pipeline_config, label_map, calibration)
        checkpoint.restore(given.detector.variables(), source, "full")
        write_untrained(unfinished, given.detector, given.labels, given.name, given.description.text(), given.records)
