# SPDX-License-Identifier: Apache-2.0
"""`export --to tflite` as it is called: what it writes, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from training_src.__main__ import main


def test_files_of_a_checkpoint(
    golden: Path,
    golden_checkpoint: Callable[[str], str],
    validation_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "ssd_mobilenet_v2_fpnlite"
    labels, output = tmp_path / "label_map.pbtxt", tmp_path / "edge"
    labels.write_text('item { id: 1 name: "car" }')
    given = ["--checkpoint", golden_checkpoint(name), "--pipeline-config", str(golden / name / "pipeline.config")]
    given += ["--label-map", str(labels), "--output", str(output), "--to", "tflite"]

    assert main(["export", *given, "--calibration", str(validation_folder), "--max-detections", "10"]) == 0
    assert sorted(file.name for file in output.iterdir()) == [
        "labels.txt",
        "model_float16.tflite",
        "model_int8.tflite",
    ]
    assert (output / "labels.txt").read_text() == "car\n"
    assert "calibrated on 6 images" in capsys.readouterr().out
    for form, taken in (("float16", np.float32), ("int8", np.uint8)):
        interpreter = Interpreter(str(output / f"model_{form}.tflite"))
        assert interpreter.get_input_details()[0]["dtype"] is taken
        assert interpreter.get_output_details()[0]["shape"].tolist() == [1, 10, 4]


@pytest.mark.parametrize(
    ("further", "said"),
    [
        (["--to", "tflite", "--artifact"], "leave one of them out"),
        (["--to", "tflite", "--input-type", "tf_example"], "pixels of its own size"),
        (["--to", "tflite", "--max-detections", "0"], "give 1 or more"),
        (["--max-detections", "5"], "only with --to tflite"),
    ],
)
def test_options_that_do_not_go_together(
    further: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--checkpoint", "c", "--output", str(tmp_path / "o"), *further]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert said in told


def test_another_family_is_refused_in_one_sentence(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = next(folder for folder in sorted(golden.iterdir()) if folder.name.startswith("faster_rcnn"))
    labels = tmp_path / "label_map.pbtxt"
    labels.write_text('item { id: 1 name: "car" }')
    given = ["--checkpoint", "none", "--pipeline-config", str(case / "pipeline.config"), "--label-map", str(labels)]

    assert main(["export", *given, "--output", str(tmp_path / "o"), "--to", "tflite"]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "Faster R-CNN" in told
    assert not (tmp_path / "o").exists()
