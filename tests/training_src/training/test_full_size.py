# SPDX-License-Identifier: Apache-2.0
"""Training jobs of the zoo's full-size descriptions: 640x640 pixels, batch 4, from a checkpoint in the zoo's layout."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from training_src.models.config.pipeline import CONFIGS

CHECKOUT = Path(__file__).parents[3]
ARCHITECTURES = [
    "ssd_mobilenet_v2_fpnlite_640x640",
    "ssd_resnet50_v1_fpn_640x640",
    "efficientdet_d1_640x640",
    "faster_rcnn_resnet50_v1_640x640",
    "faster_rcnn_resnet152_v1_640x640",
]
BATCH_SIZE = 4
STEPS = 4
# Writes a detector's variables under the zoo's keys, and says how many a detector of another class count takes.
WRITE = """
import sys
from training_src.models.checkpoints.files import write
from training_src.models.config.pipeline import load_bundled
from training_src.models.architectures import build_detector

variables = build_detector(load_bundled(sys.argv[1], 90).config.model).variables()
write(sys.argv[2], {key: variable.numpy() for key, variable in variables.items()})
print("extractor", sum(key.startswith("model/_feature_extractor") for key in variables))
"""
# A job that says at its end how many kilobytes it had at most. What its parent is told counts the parent's memory too.
TRAIN = """
import atexit, re, runpy
from pathlib import Path

status = Path("/proc/self/status")
atexit.register(lambda: print("peak", re.search(r"VmHWM:\\s+([0-9]+)", status.read_text())[1], flush=True))
runpy.run_module("training_src", run_name="__main__")
"""


def run(arguments: list[str], **environment: str) -> str:
    """Run Python in a process of its own; returns what it said."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_full_size_training_starts_from_the_zoos_checkpoint_and_ends_with_a_model(
    architecture: str, make_job: Callable[..., Path], record: Callable[[str, str], None]
) -> None:
    text, replaced = re.subn(
        r"(train_config[^{]*\{.*?batch_size: )\d+",
        rf"\g<1>{BATCH_SIZE}",
        (CONFIGS / f"{architecture}.config").read_text(),
        count=1,
        flags=re.DOTALL,
    )
    assert replaced == 1
    text = text.replace("train_config {", 'train_config {\n  fine_tune_checkpoint_type: "detection"', 1)
    assert text.count("fine_tune_checkpoint_type") == 1
    root = make_job(config=text, num_train_steps=str(STEPS), seed="1")
    channel = root / "input" / "data" / "checkpoint"
    prefix = channel / architecture / "checkpoint" / "ckpt-0"
    prefix.parent.mkdir(parents=True)
    written = run(["-c", WRITE, architecture, str(prefix)])
    channels = root / "input" / "config" / "inputdataconfig.json"
    channels.write_text(json.dumps({**json.loads(channels.read_text()), "checkpoint": {}}))

    ended = run(["-c", TRAIN, "train"], MAPGATE_ML_ROOT=str(root))

    extractor = re.search(r"^extractor (\d+)$", written, re.MULTILINE)
    restored = re.search(r"^restored +(\d+) ", ended, re.MULTILINE)
    peak = re.search(r"^peak (\d+)$", ended, re.MULTILINE)
    assert extractor and restored and peak, ended
    assert int(restored[1]) == int(extractor[1]) > 100
    history = json.loads((root / "model" / "history.json").read_text())
    speeds = [entry["images_per_second"] for entry in history if entry.get("images_per_second")]
    assert [entry["step"] for entry in history if "loss" in entry] == list(range(1, STEPS + 1))
    assert (root / "model" / "1" / "saved_model.pb").exists()
    seconds = BATCH_SIZE / median(speeds)
    record(
        f"{architecture}, batch {BATCH_SIZE}: peak memory; a training step",
        f"{int(peak[1]) / 2**20:.1f} GiB; {seconds:.1f} s",
    )
