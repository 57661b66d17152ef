# SPDX-License-Identifier: Apache-2.0
"""A checkpoint with the config, the label map and the images that say what is to be made of it."""

from dataclasses import dataclass
from pathlib import Path

from training_src.data.label_map import LabelMap, read_label_map
from training_src.export.beside import beside
from training_src.models.architectures import build_detector
from training_src.models.config.legacy import mapping_table
from training_src.models.config.pipeline import PipelineDescription, load
from training_src.models.detector import Detector
from training_src.training.records import Records


@dataclass(frozen=True)
class DescribedCheckpoint:
    """What an export is made of.

    Attributes:
        config: The `pipeline.config`.
        description: What it says.
        detector: Built from it, with weights that are drawn until the checkpoint is restored.
        labels: The classes.
        records: Labelled images to calibrate with; None where none are given.
    """

    config: Path
    description: PipelineDescription
    detector: Detector
    labels: LabelMap
    records: Records | None

    @property
    def name(self) -> str:
        """Of the config's folder, which the zoo names after the architecture."""
        return self.config.resolve().parent.name


def described_checkpoint(
    source: str, pipeline_config: Path | None, label_map: Path | None, calibration: Path | None
) -> DescribedCheckpoint:
    """Read what describes a checkpoint, print what of its config is written otherwise today, and build the detector.

    Args:
        source: The checkpoint.
        pipeline_config: None for the one beside the checkpoint.
        label_map: None for the one beside the checkpoint.
        calibration: A folder of labelled images, if there is one.

    Raises:
        MapgateError: If one of them is missing or faulty.
    """
    config = pipeline_config or beside(source, "pipeline.config", "--pipeline-config")
    labels = read_label_map(label_map or beside(source, "label_map.pbtxt", "--label-map"))
    records = Records(calibration) if calibration else None
    description = load(config, labels.greatest_id)
    print(mapping_table(description.mapped), end="\n" if description.mapped else "")
    return DescribedCheckpoint(config, description, build_detector(description.config.model), labels, records)
