# SPDX-License-Identifier: Apache-2.0
"""`check` as it is called: what is refused before an image is read, and what scripts get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.demo.scenes import draw_scenes
from training_src.__main__ import main
from training_src.models.config.pipeline import CONFIGS


@pytest.mark.parametrize("option", ["--config", "--label-map", "--policy"])
def test_a_file_that_is_not_there_is_named(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path), option, "nowhere.txt"]) == 2
    assert capsys.readouterr().err == "nowhere.txt is no file.\n"


def test_scripts_get_one_object_even_where_nothing_could_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "nowhere"), "--json"]) == 2

    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert shown.err == ""
    assert (told["images"], told["format"], told["splits"]) == (0, None, {})
    (fault,) = told["faults"]
    assert (fault["file"], fault["check"]) == ("nowhere", "layout")


def test_the_report_compares_the_boxes_with_an_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_scenes(tmp_path / "scenes", train=3, validation=1, test=1, size=(160, 120))
    check = ["check", str(tmp_path / "scenes"), f"--report={tmp_path / 'report.html'}"]
    assert main([*check, "--architecture=ssd_mobilenet_v2_fpnlite_320x320"]) == 0
    assert "The data decide: input 320x320" in (tmp_path / "report.html").read_text()
    assert main([*check, "--architecture=ssd_mobilenet"]) == 2
    assert 'Architecture "ssd_mobilenet" is not known' in capsys.readouterr().err


def test_what_is_sound_is_written_and_what_is_faulty_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_scenes(tmp_path / "scenes", train=3, validation=1, test=1, size=(160, 120))
    check = ["check", str(tmp_path / "scenes"), "--json", "--output"]

    assert main([*check, str(tmp_path / "sound")]) == 0
    (tmp_path / "scenes/JPEGImages/train_00000.jpg").write_bytes(b"no image")
    assert main([*check, str(tmp_path / "faulty")]) == 2

    assert (tmp_path / "sound/metadata/dataset.json").is_file()
    assert list((tmp_path / "sound/train").glob("*.tfrecord"))
    assert not (tmp_path / "faulty").exists()
    capsys.readouterr()
    assert main([*check, str(tmp_path / "sound")]) == 2
    assert f"{tmp_path}/sound is not empty; name a new folder." in capsys.readouterr().out


def test_classes_whose_boxes_the_chosen_anchors_match_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_scenes(tmp_path / "scenes", train=6, validation=1, test=1, size=(160, 120))
    text = (CONFIGS / "ssd_mobilenet_v2_fpnlite_160x160.config").read_text()
    (tmp_path / "pipeline.config").write_text(text.replace("anchor_scale: 2.0", "anchor_scale: 0.1"))

    assert main(["check", str(tmp_path / "scenes"), f"--config={tmp_path / 'pipeline.config'}"]) == 0
    told = capsys.readouterr().out
    assert main(["check", str(tmp_path / "scenes"), "--architecture=ssd_mobilenet_v2_fpnlite_160x160", "--json"]) == 0
    bundled = json.loads(capsys.readouterr().out)["anchors"]

    assert "anchors: of IoU 0.5 or more for the boxes of " in told
    assert "attention: only 0 % of the " in told and "give the config a larger image_resizer" in told
    assert bundled[0].startswith("of IoU 0.5 or more for the boxes of ")
