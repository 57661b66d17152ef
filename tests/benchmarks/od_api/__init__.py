# SPDX-License-Identifier: Apache-2.0
r"""Ours against the TF Object Detection API itself: start, training step, losses, evaluation, export.

The API is no part of this project. `OD_API_PYTHON` names the interpreter of an environment with it; where it is not
set, there are no rows. Such an environment, Python 3.11:

    python -m venv od_api && od_api/bin/pip install tensorflow-cpu tf-keras tf-slim pycocotools lxml matplotlib \
        pandas pillow scipy contextlib2 six gin-config tensorboard
    od_api/bin/pip install --no-deps tf-models-official tf-models-research-object-detection

Its own pinned requirements cannot be met any more; `reference.py` puts in its way what it no longer finds.

Every ratio comes twice: of wall-clock time, and of the CPU time of all threads, on which other work has less influence.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tests.benchmarks.od_api.scenes import Scenes
from tests.benchmarks.od_api.sides import FOLDER, VARIABLE, Measured, Side, alternate, until
from tests.benchmarks.ratio import Row
from training_src.models.config.pipeline import load_bundled

ARCHITECTURE, LARGE = "ssd_mobilenet_v2_fpnlite_320x320", "ssd_mobilenet_v2_fpnlite_640x640"
CLASSES, BATCH, BOXES = 90, 8, 8
API = "the TF Object Detection API"


def run() -> list[Row]:
    """All rows; none where the API's interpreter is not named."""
    if VARIABLE not in os.environ:
        print(f"od_api: left out, as {VARIABLE} names no interpreter that has {API}", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        scenes = Scenes.draw(root / "ml", train=96, validation=8, test=8)
        config = scenes.config(load_bundled(ARCHITECTURE, CLASSES), root / "pipeline.config")
        large = scenes.config(load_bundled(LARGE, CLASSES), root / "large.config")
        prefix = _checkpoint(config, root)
        images = root / "images.npy"
        np.save(images, np.random.default_rng(1).integers(0, 256, (BATCH, 240, 320, 3), np.uint8))
        parts: list[Callable[[], list[Row]]] = [
            partial(_start, scenes, config, root),
            partial(_training, config),
            partial(_loss, large),
            partial(_evaluation, config, prefix, images),
            partial(_export, config, prefix, root),
        ]
        return [row for part in parts for row in part()]


def _checkpoint(config: Path, root: Path) -> str:
    """Weights for both sides, by the API."""
    side = Side(os.environ[VARIABLE], "reference", root / "checkpoint.log")
    try:
        side.prepare("checkpoint", config=str(config), folder=str(root / "trained"))
        return str(side.do("write").value)
    finally:
        side.close()


def _start(scenes: Scenes, config: Path, root: Path) -> list[Row]:
    """The whole commands, until they say that a step is done."""
    ours, reference = [], []
    for number in range(2):
        job = root / f"job_{number}"
        _describe(job, scenes, config)
        command = [sys.executable, "-m", "training_src", "train"]
        ours.append(until(command, "step=1/", root / "start.log", MAPGATE_ML_ROOT=str(job)))
        script = [str(FOLDER / "reference.py"), "start", str(config), str(root / f"api_{number}")]
        reference.append(until([os.environ[VARIABLE], *script], "first step", root / "start.log"))
    return Measured(ours, reference).rows("from process start to the end of the first training step", API)


def _describe(job: Path, scenes: Scenes, config: Path) -> None:
    """A training job's directory as the platform makes it; so few steps that each one is printed."""
    parameters = {"num_train_steps": "90"}
    channels = ("train", "validation", "metadata", "config")
    (job / "input" / "config").mkdir(parents=True)
    (job / "input" / "data").mkdir()
    for name in channels[:3]:
        (job / "input" / "data" / name).symlink_to(scenes.folder / name)
    (job / "input" / "data" / "config").mkdir()
    shutil.copy(config, job / "input" / "data" / "config")
    files = {
        "hyperparameters": parameters,
        "inputdataconfig": {name: {"TrainingInputMode": "File"} for name in channels},
        "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"]},
    }
    for name, content in files.items():
        (job / "input" / "config" / f"{name}.json").write_text(json.dumps(content))


def _training(config: Path) -> list[Row]:
    what = f"a training step of {ARCHITECTURE}, batch {BATCH}"
    measured = alternate("training", {"step_from_memory": (3, 4, 5), "step": (1, 4, 5)}, config=str(config))
    return [
        *measured["step_from_memory"].rows(f"{what}, which stays in memory", API),
        *measured["step"].rows(f"{what}, which is read and augmented", API),
    ]


def _loss(config: Path) -> list[Row]:
    what = f"matching and losses, 640x640, {CLASSES} classes, batch {BATCH}"
    turns = {"compute": (2, 4, 4), "differentiate": (2, 4, 4)}
    measured = alternate("loss", turns, config=str(config), boxes=BOXES)
    return [
        *measured["compute"].rows(what, API),
        *measured["differentiate"].rows(f"{what}, gradients included", API),
    ]


def _evaluation(config: Path, prefix: str, images: Path) -> list[Row]:
    arguments = {"config": str(config), "prefix": prefix, "images": str(images)}
    measured = alternate("evaluation", {"trace": (0, 1, 1), "detect": (2, 4, 3)}, **arguments)
    what = f"evaluation of {ARCHITECTURE}, {CLASSES} classes: preprocess, predict, post-process a batch of {BATCH}"
    return [
        *measured["trace"].rows(f"tracing of the post-processing, batch {BATCH}", API),
        *measured["detect"].rows(what, API, speed=True, count=BATCH),
    ]


def _export(config: Path, prefix: str, root: Path) -> list[Row]:
    """The whole commands, from a checkpoint to a SavedModel."""
    options = ["--pipeline-config", str(config), "--checkpoint", prefix, "--output", str(root / "exported")]
    ours = until([sys.executable, "-m", "training_src", "export", *options], "exported", root / "export.log")
    script = [str(FOLDER / "reference.py"), "export", str(config), str(Path(prefix).parent), str(root / "exported_api")]
    reference = until([os.environ[VARIABLE], *script], "exported", root / "export.log")
    return Measured([ours], [reference]).rows(f"export of {ARCHITECTURE}, the command whole", API)
