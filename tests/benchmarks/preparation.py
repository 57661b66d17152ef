# SPDX-License-Identifier: Apache-2.0
"""PrepareDataset's whole process, as the platform starts it, for benchmarks of what comes after it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

INPUTS, OUTPUTS = ("dataset",), ("train", "validation", "test", "metadata")


def describe(root: Path) -> None:
    """Write the platform's files of a PrepareDataset job."""
    config = root / "config"
    config.mkdir(parents=True)
    inputs = [
        {"InputName": name, "S3Input": {"LocalPath": f"/opt/ml/processing/input/{name}", "S3Uri": "s3://b/k"}}
        for name in INPUTS
    ]
    outputs = [
        {"OutputName": name, "S3Output": {"LocalPath": f"/opt/ml/processing/output/{name}", "S3Uri": "s3://b/k"}}
        for name in OUTPUTS
    ]
    job = {
        "ProcessingJobName": "bench",
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {"Outputs": outputs},
        "Environment": {"MAPGATE_ARCHITECTURE": "ssd_mobilenet_v2_fpnlite_160x160"},
    }
    (config / "processingjobconfig.json").write_text(json.dumps(job))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))


def prepare(root: Path) -> None:
    """Run PrepareDataset in its own process, on empty outputs."""
    for name in OUTPUTS:
        output = root / "processing" / "output" / name
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "training_src", "prepare"],
        env={**os.environ, "MAPGATE_ML_ROOT": str(root), "MAPGATE_ARCHITECTURE": "ssd_mobilenet_v2_fpnlite_160x160"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
