# SPDX-License-Identifier: Apache-2.0
"""`export` as it is called; what it writes is tested beside the exporter."""

from __future__ import annotations

from pathlib import Path

import pytest

from training_src.__main__ import main


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    given = ["--pipeline-config", "p", "--checkpoint", "c", "--output", str(tmp_path)]

    assert main(["export", *given]) == 2
    assert capsys.readouterr().err == f"{tmp_path}: something is there already; give another folder\n"
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_an_input_type_that_there_is_not_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--pipeline-config", "p", "--checkpoint", "c", "--output", "o", "--input-type", "video"]

    with pytest.raises(SystemExit) as ended:
        main(["export", *given])

    assert ended.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "--input-type" in told and "'video'" in told and "encoded_image_string_tensor" in told


def test_what_is_served_takes_pixels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--checkpoint", "c", "--output", str(tmp_path / "o"), "--artifact", "--input-type", "tf_example"]

    assert main(["export", *given]) == 2
    assert capsys.readouterr().err == "--input-type tf_example: with --artifact a model takes image_tensor, as served\n"


def test_a_config_that_lies_nowhere_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--checkpoint", str(tmp_path), "--output", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().err == f"{tmp_path}: there is no pipeline.config beside it; give --pipeline-config\n"
