# SPDX-License-Identifier: Apache-2.0
"""Where objects lie as files, and archives that are packed and refused."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from localcloud.objects import ObjectError, pack, relative_path, split_uri, unpack


def _archive(path: Path, member: tarfile.TarInfo, content: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return path


def test_what_is_packed_comes_out_again(tmp_path: Path) -> None:
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "1" / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "model" / "model.json").write_text("{}")

    pack(tmp_path / "model", tmp_path / "model.tar.gz")
    unpack(tmp_path / "model.tar.gz", tmp_path / "out")

    assert (tmp_path / "out" / "1" / "saved_model.pb").read_bytes() == b"graph"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1", "model.json"]


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil"])  # noqa: S108
def test_a_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    archive = _archive(tmp_path / "a.tar.gz", tarfile.TarInfo(name), b"evil")

    with pytest.raises(ObjectError, match="leads out"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "evil").exists()


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"

    with pytest.raises(ObjectError, match="link"):
        unpack(_archive(tmp_path / "a.tar.gz", link), tmp_path / "out")


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "model.tar.gz", tarfile.TarInfo("a"), bytes(range(256)) * 400)
    archive.write_bytes(archive.read_bytes()[:-40])

    with pytest.raises(ObjectError, match=r"model\.tar\.gz"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    ("key", "prefix", "path"),
    [
        ("data/train/a.tfrecord", "data/train", "a.tfrecord"),
        ("data/train/a.tfrecord", "data/train/", "a.tfrecord"),
        ("data/train/deep/a", "data/", "train/deep/a"),
        ("data/train-1", "data/tr", "train-1"),  # the prefix ends inside a name
        ("a", "", "a"),
        ("data/model.tar.gz", "data/model.tar.gz", "model.tar.gz"),
    ],
)
def test_an_object_lies_relative_to_the_prefix_that_was_asked_for(key: str, prefix: str, path: str) -> None:
    assert relative_path(key, prefix) == path


def test_only_a_uri_of_s3_is_split() -> None:
    assert split_uri("s3://bucket/a/b#c?d") == ("bucket", "a/b#c")
    with pytest.raises(ObjectError, match="is no S3 URI"):
        split_uri("https://bucket/a")
