# SPDX-License-Identifier: Apache-2.0
"""A file is whole or as it was, whatever happens while it is written."""

import os
from pathlib import Path

import pytest

from containers.contract.files import json_object, write_whole


def test_bytes_and_text_are_written_into_folders_that_are_made(tmp_path: Path) -> None:
    write_whole(tmp_path / "a/b/bytes", b"\x00\xff")
    write_whole(tmp_path / "text", "Größe\n")
    assert (tmp_path / "a/b/bytes").read_bytes() == b"\x00\xff"
    assert (tmp_path / "text").read_bytes() == b"Gr\xc3\xb6\xc3\x9fe\n"


def test_the_old_file_stands_until_the_new_one_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    flushed: list[dict[str, str]] = []
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append({file.name: file.read_text() for file in _files(path)}))
    write_whole(path, "new")
    (before,) = flushed
    assert before.pop("report.json") == "old"
    assert list(before.values()) == ["new"]
    assert [file.read_text() for file in _files(path)] == ["new"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError("no space left on device")

    path = tmp_path / "report.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, "new")
    assert [file.read_text() for file in _files(path)] == ["old"]


def test_what_is_written_can_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    """The platform uploads a job's files as somebody else than the container's user."""
    (tmp_path / "plain").touch()
    write_whole(tmp_path / "whole", "")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def _files(path: Path) -> list[Path]:
    return list(path.parent.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff{}", b"[" * 200_000])
def test_what_is_no_json_object_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)
    assert json_object(tmp_path / "model.json") == json_object(tmp_path) == json_object(tmp_path / "none.json") == {}
    (tmp_path / "model.json").write_text('{"a": 1}')
    assert json_object(tmp_path / "model.json") == {"a": 1}
