# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.whole_files import written_whole


def test_a_file_takes_the_place_of_the_former_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("before")

    with written_whole(tmp_path / "a.png") as beside:
        beside.write_text("after")
        assert beside.suffix == ".png"
        assert (tmp_path / "a.png").read_text() == "before"

    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a.png": "after"}


def test_what_was_not_written_to_its_end_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), written_whole(tmp_path / "a.json") as beside:
        beside.write_text("hal")
        raise OSError("the disk is full")

    assert list(tmp_path.iterdir()) == []


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path, least_room: None) -> None:  # noqa: ARG001
    with pytest.raises(OSError, match=r"'.*/a\.json'"), written_whole(tmp_path / "a.json") as beside:
        beside.write_text("x" * 5000)
    with (
        pytest.raises(OSError, match=r"'.*/nowhere/a\.json'"),
        written_whole(tmp_path / "nowhere" / "a.json") as beside,
    ):
        beside.write_text("x")
