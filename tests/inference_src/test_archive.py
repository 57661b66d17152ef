# SPDX-License-Identifier: Apache-2.0
"""Archives that were made to do harm are refused, and leave nothing outside their target."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from inference_src.archive import extract_model
from inference_src.errors import ModelError


def _member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, link
    return member


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    def write(*members: tarfile.TarInfo) -> Path:
        path = tmp_path / "model.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            for member in members:
                tar.addfile(member, io.BytesIO(b"x" * member.size))
        return path

    return write


def test_files_and_folders_are_extracted(archive: Callable[..., Path], tmp_path: Path) -> None:
    path = archive(_member("1", tarfile.DIRTYPE), _member("./1/saved_model.pb", size=3), _member("a/b/c", size=1))
    extract_model(path, tmp_path / "model")
    assert (tmp_path / "model/1/saved_model.pb").read_bytes() == b"xxx"
    assert (tmp_path / "model/a/b/c").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (_member("/etc/evil", size=1), "leads out"),
        (_member("../evil", size=1), "leads out"),
        (_member("a/../../evil", size=1), "leads out"),
        (_member("link", tarfile.SYMTYPE, link="/etc"), "link or a device"),
        (_member("link", tarfile.SYMTYPE, link="inside"), "link or a device"),
        (_member("link", tarfile.LNKTYPE, link="1/saved_model.pb"), "link or a device"),
        (_member("device", tarfile.CHRTYPE), "link or a device"),
        (_member("pipe", tarfile.FIFOTYPE), "link or a device"),
        (_member("large", size=2000), "more than 5 members or 1000 bytes"),
    ],
)
def test_hostile_members_are_refused(
    archive: Callable[..., Path], tmp_path: Path, member: tarfile.TarInfo, said: str
) -> None:
    before = set(tmp_path.parent.iterdir())
    path = archive(_member("1/saved_model.pb", size=3), member)
    with pytest.raises(ModelError, match=said):
        extract_model(path, tmp_path / "model", max_bytes=1000, max_members=5)
    assert set(tmp_path.parent.iterdir()) == before
    assert not (tmp_path / "evil").exists()


def test_too_many_members_are_refused(archive: Callable[..., Path], tmp_path: Path) -> None:
    path = archive(*(_member(str(number)) for number in range(6)))
    with pytest.raises(ModelError, match="more than 5 members"):
        extract_model(path, tmp_path / "model", max_members=5)


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00broken"])
def test_what_is_no_archive_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be extracted"):
        extract_model(path, tmp_path / "model")


def test_a_missing_archive_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model archive here"):
        extract_model(tmp_path / "model.tar.gz", tmp_path / "model")
