# SPDX-License-Identifier: Apache-2.0
"""`export`: a config and a checkpoint to what the OD API's exporter writes."""

from pathlib import Path
from typing import Annotated

from training_src.export.exporter import SAVED_MODEL, export
from training_src.export.saved_model import IMAGE_TENSOR, INPUT_TYPES


def run(
    *,
    pipeline_config: Path,
    checkpoint: str,
    output: Path,
    label_map: Path | None = None,
    input_type: Annotated[str, tuple(INPUT_TYPES)] = IMAGE_TENSOR,
    calibration: Path | None = None,
) -> int:
    """Write a SavedModel, and checkpoint and config beside it."""
    export(pipeline_config, checkpoint, output, label_map, input_type, calibration)
    print(f"exported      {output / SAVED_MODEL}")
    return 0
