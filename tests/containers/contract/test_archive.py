# SPDX-License-Identifier: Apache-2.0
"""Archives that were made to do harm are refused, and leave nothing outside their target."""

import contextlib
import gzip
import io
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.contract.archive import MAX_HEADER_BYTES, extract
from containers.contract.errors import ArchiveError

Write = Callable[..., Path]


def _member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname, member.mode = kind, len(content), link, 0o4777
    return member


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an archive of members, or of headers as they are on the tape."""

    def write(*members: tarfile.TarInfo | bytes) -> Path:
        blocks = [each if isinstance(each, bytes) else each.tobuf(tarfile.PAX_FORMAT) for each in members]
        sizes = [0 if isinstance(each, bytes) else each.size for each in members]
        data = b"".join(block + b"x" * size + bytes(-size % 512) for block, size in zip(blocks, sizes, strict=True))
        path = tmp_path / "model.tar.gz"
        path.write_bytes(gzip.compress(data + bytes(1024)))
        return path

    return write


def _header(kind: bytes, size: int, content: bytes = b"", name: str = "header") -> bytes:
    """A header that announces a size, whatever stands behind it."""
    member = _member(name, kind=kind)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


def _pax(**fields: str) -> bytes:
    """A pax header in front of the next member."""
    member = _member("ignored")
    member.pax_headers = fields
    return member.tobuf(tarfile.PAX_FORMAT)[:-512]


def test_files_and_folders_are_written(write: Write, tmp_path: Path) -> None:
    folders = [_member(name, kind=tarfile.DIRTYPE) for name in (".", "1", "1/assets")]
    extract(write(*folders, _member("./1/saved_model.pb", b"xxx"), _member("a/b/c", b"x")), tmp_path / "model")
    assert (tmp_path / "model/1/saved_model.pb").read_bytes() == b"xxx"
    assert (tmp_path / "model/a/b/c").read_bytes() == b"x"
    assert (tmp_path / "model/1/assets").is_dir()


def test_only_what_is_wanted_is_written_and_with_our_own_rights(write: Write, tmp_path: Path) -> None:
    path = write(_member("zoo/ckpt.index", b"index"), _member("zoo/saved_model.pb", b"graph"))
    extract(path, tmp_path / "out", lambda name: name.suffix == ".index")
    (written,) = [each for each in (tmp_path / "out").rglob("*") if each.is_file()]
    assert written == tmp_path / "out/zoo/ckpt.index"
    assert written.read_bytes() == b"xxxxx"
    assert written.stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (_member("/etc/evil", b"x"), "leads out"),
        (_member("../evil", b"x"), "leads out"),
        (_member("a/../../evil", b"x"), "leads out"),
        (_member("link", kind=tarfile.SYMTYPE, link="/etc"), "link or a device"),
        (_member("link", kind=tarfile.SYMTYPE, link="inside"), "link or a device"),
        (_member("link", kind=tarfile.LNKTYPE, link="../evil"), "link or a device"),
        (_member("device", kind=tarfile.CHRTYPE), "link or a device"),
        (_member("pipe", kind=tarfile.FIFOTYPE), "link or a device"),
    ],
)
def test_what_leads_out_is_refused(write: Write, tmp_path: Path, member: tarfile.TarInfo, said: str) -> None:
    path = write(_member("1/saved_model.pb", b"xxx"), member)
    before = set(tmp_path.parent.iterdir())
    with pytest.raises(ArchiveError, match=said):
        extract(path, tmp_path / "model", wanted=lambda name: name.suffix == ".pb")
    assert set(tmp_path.parent.iterdir()) == before
    assert {each.name for each in tmp_path.rglob("*")} == {"model.tar.gz", "model", "1", "saved_model.pb"}


def test_bombs_are_refused_before_they_burst(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="more than 10000 members or 1000000 bytes"):
        extract(write(_member("big", bytes(2_000_000))), tmp_path / "bytes", max_bytes=1_000_000)
    assert not list((tmp_path / "bytes").iterdir())
    with pytest.raises(ArchiveError, match="more than 10 members"):
        extract(write(*(_member(str(number)) for number in range(20))), tmp_path / "members", max_members=10)
    assert len(list((tmp_path / "members").iterdir())) == 10


def test_pax_headers_count_like_files(write: Write, tmp_path: Path) -> None:
    path = write(*[_pax(comment="c" * 30_000), _member("a", b"x")] * 5)
    extract(path, tmp_path / "enough", max_bytes=200_000)
    with pytest.raises(ArchiveError, match="more than 10000 members or 100000 bytes"):
        extract(path, tmp_path / "little", max_bytes=100_000)


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK], ids=repr
)
@pytest.mark.parametrize("size", [MAX_HEADER_BYTES + 1, 7 * 2**30, -512])
def test_a_header_is_not_taken_into_memory_before_its_size_is_known_to_be_sane(
    write: Write, tmp_path: Path, kind: bytes, size: int
) -> None:
    with pytest.raises(ArchiveError, match=f"a header announces {size} bytes"):
        extract(write(_member("first", b"x"), _header(kind, size), _member("a", b"x")), tmp_path / "out")


def test_headers_in_front_of_headers_end(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="recursion"):
        extract(write(*[_pax(comment="c")] * 2000, _member("a", b"x")), tmp_path / "out")


def test_a_size_below_nothing_does_not_turn_the_count_back(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="announces -1024 bytes"):
        extract(write(_member("first", b"x"), _header(tarfile.REGTYPE, -1024)), tmp_path / "header")
    with pytest.raises(ArchiveError, match="so this is no model"):
        extract(write(_pax(size="-1024"), _member("a", b"x")), tmp_path / "pax")


@pytest.mark.parametrize(
    "members",
    [
        (_header(tarfile.GNUTYPE_SPARSE, 512, bytes(512)),),
        (_pax(**{"GNU.sparse.size": "1", "GNU.sparse.name": "a"}), _member("a", b"x")),
        (_pax(**{"GNU.sparse.map": "0,1", "GNU.sparse.name": "a"}), _member("a", b"x")),
        (_pax(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a"}), _member("a", b"x")),
    ],
    ids=["header", "pax 0.0", "pax 0.1", "pax 1.0"],
)
def test_holes_are_refused(write: Write, tmp_path: Path, members: tuple[tarfile.TarInfo | bytes, ...]) -> None:
    with pytest.raises(ArchiveError, match=r"is a sparse file|is a link or a device"):
        extract(write(*members), tmp_path / "out")


def test_a_path_that_no_file_system_takes_is_a_sentence(write: Write, tmp_path: Path) -> None:
    for number, name in enumerate(["a\0b", "a/" * 2500 + "b"]):
        with pytest.raises(ArchiveError, match=r"cannot be read as a \.tar\.gz"):
            extract(write(_pax(path=name), _member("a", b"x")), tmp_path / str(number))


def test_a_directory_that_is_there_is_left_alone(write: Write, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError, match="exists"):
        extract(write(_member("a", b"x")), tmp_path / "out")


@pytest.mark.parametrize("content", [None, b"", b"<html>404</html>", b"\x1f\x8b\x08\x00broken", "half"])
def test_damage_is_a_sentence(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "model.tar.gz"
    if content == "half":
        with tarfile.open(path, "w:gz") as tar:
            tar.addfile(_member("a", bytes(102_400)), io.BytesIO(bytes(range(256)) * 400))
        content = path.read_bytes()[:200]
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"model\.tar\.gz: cannot be read as a \.tar\.gz \(.*fetch it again"):
        extract(path, tmp_path / "out")


@given(st.lists(st.tuples(st.integers(0, 4607), st.integers(1, 255)), max_size=12))
def test_damage_anywhere_is_read_or_refused(flips: list[tuple[int, int]]) -> None:
    blocks = [_member("1/", kind=tarfile.DIRTYPE).tobuf(), _pax(path="1/" + "a" * 200), _member("a").tobuf()]
    blocks += [_header(tarfile.GNUTYPE_LONGNAME, 300, b"1/" + b"b" * 298), _header(tarfile.REGTYPE, 5, b"bytes")]
    data = bytearray(b"".join(blocks) + bytes(1024))
    for place, bits in flips:
        data[place % len(data)] ^= bits
    for number in range(0, len(data), 512):  # a header whose checksum is wrong would end the archive
        member = bytearray(data[number : number + 512])
        if member[257:262] == b"ustar":
            member[148:156] = b" " * 8
            member[148:156] = b"%06o\0 " % sum(member)
            data[number : number + 512] = member
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.tar.gz").write_bytes(gzip.compress(bytes(data), 1))
        with contextlib.suppress(ArchiveError):
            extract(Path(folder) / "model.tar.gz", Path(folder) / "out")
        assert {each.name for each in Path(folder).iterdir()} <= {"model.tar.gz", "out"}
