# SPDX-License-Identifier: Apache-2.0
"""`info` as it is called: JSON for scripts, tables for people, a sentence for a fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training_src.__main__ import main
from training_src.models.config.pipeline import CONFIGS

SMALL = "ssd_mobilenet_v2_fpnlite_160x160"


def test_two_stages_are_told_apart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    # Mask R-CNN on small images: what the detector says of its masks does not stand in the JSON.
    text = (CONFIGS / "mask_rcnn_inception_resnet_v2_1024x1024.config").read_text()
    path = tmp_path / "pipeline.config"
    path.write_text(
        text.replace("height: 1024 width: 1024", "height: 128 width: 128")
        .replace("faster_rcnn_inception_resnet_v2_keras", "faster_rcnn_resnet50_keras")
        .replace("first_stage_max_proposals: 300", "first_stage_max_proposals: 64")
    )
    assert main(["info", "--pipeline-config", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    first, second = told["networks"]
    assert (first["input_shape"], second["input_shape"]) == ([128, 128, 3], [17, 17, 1024])
    assert told["levels"] == [{"height": 8, "width": 8, "channels": 1024, "anchors_per_cell": 12, "anchors": 768}]
    assert told["flops"] == first["flops"] + second["flops"]
    assert first["flops"] > 0 and second["flops"] > 0


def test_reading_names_what_was_mapped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    path.write_text((CONFIGS / f"{SMALL}.config").read_text().replace("_fpn_keras", "_fpn"))
    assert main(["info", "--pipeline-config", str(path)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("pipeline.config: input 160x160, 90 classes, 2.37 M parameters\n")
    assert "ssd_mobilenet_v2_fpn_keras, its twin in TensorFlow 2" in told
    assert "    0   20x20        64               6     2400" in told


def test_faults_are_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["info", "--architecture", "yolo"]) == 2
    assert main(["info", "--pipeline-config", str(tmp_path / "none.config")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.strip().splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name either --pipeline-config or --architecture."),
        (
            ["--pipeline-config", "a", "--architecture", "b"],
            "name either --pipeline-config or --architecture, not both.",
        ),
        (
            ["--pipeline-config", "a", "--num-classes", "3"],
            "--num-classes goes with --architecture: a says its own num_classes.",
        ),
    ],
)
def test_options_that_contradict_each_other_are_one_sentence(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", *words]) == 2
    assert capsys.readouterr().err == f"{told}\n"
