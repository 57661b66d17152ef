# SPDX-License-Identifier: Apache-2.0
"""The table of architectures as it is printed, without TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from training_src.__main__ import main
from training_src.models.config.pipeline import bundled_architectures
from training_src.models.zoo import ZOO, zoo_model

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_table_needs_no_tensorflow() -> None:
    code = (
        "import sys; from training_src.__main__ import main; code = main(['architectures', '--json']); "
        "sys.exit(code or any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = {each["name"]: each for each in json.loads(done.stdout)}
    assert set(told) == set(bundled_architectures())
    assert told["ssd_resnet50_v1_fpn_640x640"] == {
        "name": "ssd_resnet50_v1_fpn_640x640",
        "input_size": "640x640",
        "parameters": zoo_model("ssd_resnet50_v1_fpn_640x640").parameters,
        "coco_map": 34.3,
        "speed_ms": 46,
        "archive": "20200711/ssd_resnet50_v1_fpn_640x640_coco17_tpu-8.tar.gz",
        "progressive_resizing": 0.0,
        "follows_data": False,
    }


def test_the_table_reads_as_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["architectures"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(ZOO)
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split()[:3] == ["architecture", "input", "parameters"]


def test_an_unknown_name_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["architectures", "yolo"]) == 2
    assert "architecture 'yolo' is not known" in capsys.readouterr().err
