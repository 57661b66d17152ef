# SPDX-License-Identifier: Apache-2.0
"""Archives that were made to do harm do none."""

import io
import tarfile
from pathlib import Path

import pytest

from training_src.archive import ArchiveError, extract


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def file(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o4777
    return info


def test_wanted_files_are_written_with_our_own_rights(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", (file("zoo/ckpt.index"), b"index"), (file("zoo/saved_model.pb"), b"graph"))
    written = extract(path, tmp_path / "out", lambda name: name.suffix == ".index")
    assert written == [tmp_path / "out" / "zoo" / "ckpt.index"]
    assert written[0].read_bytes() == b"index"
    assert written[0].stat().st_mode & 0o7111 == 0
    assert [each.name for each in (tmp_path / "out").rglob("*") if each.is_file()] == ["ckpt.index"]


@pytest.mark.parametrize(
    ("member", "complaint"),
    [
        (file("../outside"), "leads out"),
        (file("/outside"), "leads out"),
        (file("zoo/link", tarfile.SYMTYPE, "/etc/passwd"), "is a link or a device"),
        (file("zoo/hard", tarfile.LNKTYPE, "../outside"), "is a link or a device"),
        (file("zoo/fifo", tarfile.FIFOTYPE), "is a link or a device"),
    ],
)
def test_what_leads_out_is_refused(tmp_path: Path, member: tarfile.TarInfo, complaint: str) -> None:
    (tmp_path / "in").mkdir()
    path = archive(tmp_path / "in" / "a.tar.gz", (member, b""))
    with pytest.raises(ArchiveError, match=complaint):
        extract(path, tmp_path / "in" / "out")
    assert not (tmp_path / "outside").exists()


def test_bombs_are_refused_before_they_burst(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", (file("big"), bytes(2_000_000)))
    with pytest.raises(ArchiveError, match="more than"):
        extract(path, tmp_path / "out", max_bytes=1_000_000)
    path = archive(tmp_path / "b.tar.gz", *((file(str(number)), b"") for number in range(20)))
    with pytest.raises(ArchiveError, match="more than 10 members"):
        extract(path, tmp_path / "out", max_members=10)


def test_damage_is_a_sentence(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", (file("a"), bytes(range(256)) * 400))
    (tmp_path / "cut.tar.gz").write_bytes(path.read_bytes()[:200])
    (tmp_path / "text.tar.gz").write_text("<html>404</html>")
    for name in ("cut", "text", "missing"):
        with pytest.raises(ArchiveError, match=rf"{name}.tar.gz: cannot be read as a .tar.gz \(.*fetch it again"):
            extract(tmp_path / f"{name}.tar.gz", tmp_path / "out")
