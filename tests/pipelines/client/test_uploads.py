# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipelines.client.uploads import content_sha256, files_of
from pipelines.errors import BadInputError


def _folder(path: Path) -> Path:
    (path / "images").mkdir(parents=True)
    (path / "images" / "a.jpg").write_bytes(b"a")
    (path / "annotations.json").write_text("{}")
    return path


def test_the_hash_is_that_of_names_and_bytes_alone(tmp_path: Path) -> None:
    first = _folder(tmp_path / "first")
    second = Path(shutil.copytree(first, tmp_path / "second"))
    os.utime(second / "annotations.json", (1, 1))
    (second / ".DS_Store").write_bytes(b"noise")

    assert content_sha256(first) == content_sha256(second)


@pytest.mark.parametrize("change", ["rename", "edit", "add"])
def test_the_hash_changes_with_the_content(tmp_path: Path, change: str) -> None:
    folder = _folder(tmp_path / "folder")
    before = content_sha256(folder)

    if change == "rename":
        (folder / "images" / "a.jpg").rename(folder / "images" / "b.jpg")
    elif change == "edit":
        (folder / "annotations.json").write_text("[]")
    else:
        (folder / "images" / "b.jpg").write_bytes(b"b")

    assert content_sha256(folder) != before


def test_bytes_cannot_move_between_a_name_and_a_file(tmp_path: Path) -> None:
    for name, file, body in (("one", "ab", b"c"), ("two", "a", b"bc")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(body)

    assert content_sha256(tmp_path / "one") != content_sha256(tmp_path / "two")


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="nowhere: no such file or folder"):
        list(files_of(tmp_path / "nowhere"))


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no file"):
        list(files_of(tmp_path))
