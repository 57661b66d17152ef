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
from typing import NamedTuple

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
from training_src.models.checkpoint_file import write
from training_src.models.config.pipeline import load_bundled
from training_src.models.detector import build_detector

variables = build_detector(load_bundled(sys.argv[1], 90).config.model).variables()
write(sys.argv[2], {key: variable.numpy() for key, variable in variables.items()})
print("extractor", sum(key.startswith("model/_feature_extractor") for key in variables))
"""


class Ended(NamedTuple):
    """A process that is over: what it said, and the most memory it had, in bytes."""

    output: str
    peak: int


def run(arguments: list[str], folder: Path, **environment: str) -> Ended:
    """Run in a process of its own, so that its memory is its own."""
    log = folder / "output.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=CHECKOUT,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, log.read_text()
    return Ended(log.read_text(), usage.ru_maxrss * 1024)


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_full_size_training_starts_from_the_zoos_checkpoint_and_ends_with_a_model(
    architecture: str, make_job: Callable[..., Path], tmp_path: Path, record: Callable[[str, str], None]
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
    written = run(["-c", WRITE, architecture, str(prefix)], tmp_path)
    channels = root / "input" / "config" / "inputdataconfig.json"
    channels.write_text(json.dumps({**json.loads(channels.read_text()), "checkpoint": {}}))

    ended = run(["-m", "training_src", "train"], tmp_path, MAPGATE_ML_ROOT=str(root))

    extractor = re.search(r"^extractor (\d+)$", written.output, re.MULTILINE)
    restored = re.search(r"^restored +(\d+) ", ended.output, re.MULTILINE)
    assert extractor and restored, ended.output
    assert int(restored[1]) == int(extractor[1]) > 100
    history = json.loads((root / "model" / "history.json").read_text())
    speeds = [entry["images_per_second"] for entry in history if entry.get("images_per_second")]
    assert [entry["step"] for entry in history if "loss" in entry] == list(range(1, STEPS + 1))
    assert (root / "model" / "1" / "saved_model.pb").exists()
    seconds = BATCH_SIZE / median(speeds)
    record(
        f"{architecture}, batch {BATCH_SIZE}: peak memory; a training step",
        f"{ended.peak / 2**30:.1f} GiB; {seconds:.1f} s",
    )
