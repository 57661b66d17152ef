# SPDX-License-Identifier: Apache-2.0
"""`convert` as it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.demo.scenes import draw_scenes
from training_src.__main__ import main


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    folder = tmp_path / "scenes"
    draw_scenes(folder, train=2, validation=1, test=1, size=(160, 120))
    return folder


def test_what_was_written_is_counted(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(scenes), str(tmp_path / "out"), "--to", "coco"]) == 0

    boxes = sum(file.read_text().count("<object>") for file in scenes.glob("Annotations/*.xml"))
    assert capsys.readouterr().out == f"pascal_voc to coco: 4 images, {boxes} boxes\n"
    assert (tmp_path / "out/annotations/instances_train.json").is_file()


def test_each_fault_is_a_line(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scenes / "Annotations/train_00000.xml").write_text("")
    (scenes / "JPEGImages/train_00001.jpg").write_bytes(b"no image")

    assert main(["convert", str(scenes), str(tmp_path / "out"), "--to", "tfrecord"]) == 2

    assert capsys.readouterr().err.splitlines() == [
        "Annotations/train_00000.xml is empty; export it again.",
        "JPEGImages/train_00001.jpg is neither JPEG nor PNG; export it again, or remove it and its annotation.",
    ]


def test_a_destination_that_cannot_be_written_ends_with_1(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    assert main(["convert", str(scenes), str(tmp_path / "file/out"), "--to", "coco"]) == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path}/file/out cannot be written: ")
