# SPDX-License-Identifier: Apache-2.0
"""PrepareDataset's whole process against copying the same files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pipelines.demo.scenes import draw_scenes
from tests.benchmarks.ratio import Row, ratio

INPUTS, OUTPUTS = ("dataset",), ("train", "validation", "test", "metadata")


def run() -> list[Row]:
    """Prepare and copy a drawn data set, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "ml"
        dataset = root / "processing" / "input" / "dataset"
        draw_scenes(dataset, train=800, validation=80, test=120)
        describe(root)
        times = ratio(lambda: prepare(root), lambda: _copy(dataset, Path(folder) / "copy"), rounds=3)
        decoded = ratio(lambda: prepare(root), lambda: _decode(dataset), rounds=3)
    return [
        Row("PrepareDataset, every image decoded, the process whole", "copying the files", times, "times as fast"),
        Row("PrepareDataset, every image decoded, the process whole", "Pillow decoding them", decoded, "times as fast"),
    ]


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


def _copy(dataset: Path, destination: Path) -> None:
    shutil.rmtree(destination, ignore_errors=True)
    shutil.copytree(dataset, destination)


def _decode(dataset: Path) -> None:
    script = (
        "import sys, pathlib, PIL.Image\nfor p in pathlib.Path(sys.argv[1]).rglob('*.jpg'): PIL.Image.open(p).load()"
    )
    subprocess.run([sys.executable, "-c", script, str(dataset)], check=True)
