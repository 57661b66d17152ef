# SPDX-License-Identifier: Apache-2.0
"""`export`: a config and a checkpoint to what the OD API's exporter writes."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

# TensorFlow speaks in C++, before any setting of Python's can reach it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from training_src.data.label_map import read_label_map
from training_src.errors import ConfigurationError, MapgateError
from training_src.export.saved_model import save_model
from training_src.models import checkpoint
from training_src.models.config.pipeline import PipelineDescription, load
from training_src.models.detector import build_detector

SAVED_MODEL = "saved_model"


def run(arguments: Sequence[str]) -> int:
    """Export as the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(prog="export", description=__doc__)
    parser.add_argument("--pipeline-config", type=Path, required=True)
    parser.add_argument("--checkpoint", required=True, help="its path without .index, a folder, or a zoo archive")
    parser.add_argument("--output", type=Path, required=True, help="a folder that does not exist, or is empty")
    parser.add_argument("--label-map", type=Path, help="only its ids are detected; by default every class is")
    options = parser.parse_args(arguments)
    try:
        export(options.pipeline_config, options.checkpoint, options.output, options.label_map)
    except MapgateError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"exported      {options.output / SAVED_MODEL}")
    return 0


def export(pipeline_config: Path, prefix: str, output: Path, label_map: Path | None = None) -> None:
    """Write `saved_model/`, `pipeline.config` and, if one is given, `label_map.pbtxt`.

    Raises:
        MapgateError: If config, checkpoint or label map do not fit, or something is at `output` already.
    """
    if output.exists() and any(output.iterdir()):
        raise ConfigurationError(f"{output}: something is there already; give another folder")
    ids = read_label_map(label_map).names if label_map else {}
    description: PipelineDescription = load(pipeline_config, max(ids, default=1))
    detector = build_detector(description.config.model)
    checkpoint.restore(detector.variables(), prefix, "full")
    beside = output.with_name(output.name + ".partial")
    shutil.rmtree(beside, ignore_errors=True)
    save_model(detector, list(ids) or list(range(1, detector.num_classes + 1)), beside / SAVED_MODEL)
    (beside / "pipeline.config").write_text(description.text(), encoding="utf-8")
    if label_map:
        shutil.copyfile(label_map, beside / "label_map.pbtxt")
    if output.exists():
        output.rmdir()
    beside.rename(output)
