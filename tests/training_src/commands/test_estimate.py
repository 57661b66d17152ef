# SPDX-License-Identifier: Apache-2.0
"""What is told of a training before anything is started."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.demo.scenes import draw_scenes
from training_src.__main__ import main

SMALL = "ssd_mobilenet_v2_fpnlite_160x160"


@pytest.fixture
def tiny_boxes(tmp_path: Path) -> Path:
    """Drawn scenes whose boxes were all replaced by tiny ones."""
    folder = tmp_path / "data"
    draw_scenes(folder, train=6, validation=2, test=2)
    for file in (folder / "Annotations").glob("*.xml"):
        text = file.read_text()
        for corner, value in (("xmin", 100), ("ymin", 100), ("xmax", 112), ("ymax", 110)):
            text = re.sub(rf"<{corner}>\d+", f"<{corner}>{value}", text)
        file.write_text(text)
    return folder


def estimated(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["estimate", *map(str, words)]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_a_larger_input_that_the_data_decide_takes_memory_and_time_in_proportion(
    tiny_boxes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = estimated(capsys, f"--architecture={SMALL}", "--memory-gib=16")
    after = estimated(capsys, f"--architecture={SMALL}", "--memory-gib=16", tiny_boxes)
    assert before["input"] == {"size": [160, 160], "follows_data": True, "decided": False}
    assert after["input"] == {"size": [320, 320], "follows_data": True, "decided": True}
    assert 2 < after["seconds_an_image"] / before["seconds_an_image"] < 4
    assert after["memory"]["needed"] > before["memory"]["needed"]
    assert after["batch_size"] == before["batch_size"] == 8


def test_what_the_data_do_not_decide_stays_as_it_is(tiny_boxes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = estimated(capsys, "--architecture=ssd_mobilenet_v2_fpnlite_640x640", "--memory-gib=16", tiny_boxes)
    assert told["input"] == {"size": [640, 640], "follows_data": False, "decided": True}
    told = estimated(capsys, "--architecture=faster_rcnn_resnet50_v1_800x1333", "--memory-gib=64", tiny_boxes)
    assert told["input"]["size"] is None
