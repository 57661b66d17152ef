# SPDX-License-Identifier: Apache-2.0
"""Files are written whole, or not at all."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from localcloud.home import Home, read_json, write_json, write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    write_json(file, {"at": datetime(2026, 1, 2, tzinfo=UTC), "name": "ä"})
    assert read_json(file) == {"at": "2026-01-02 00:00:00+00:00", "name": "ä"}
    before = file.stat().st_ino
    write_json(file, [1])
    assert read_json(file) == [1]
    assert file.stat().st_ino != before, "written beside, then renamed"


def test_what_cannot_be_renamed_leaves_nothing_beside(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read_json(tmp_path / "absent.json") is None


def test_folders_are_made_for_their_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / ".mapgate")
    assert stat.S_IMODE(home.executions.stat().st_mode) == stat.S_IMODE(home.root.stat().st_mode) == 0o700
