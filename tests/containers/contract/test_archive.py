# SPDX-License-Identifier: Apache-2.0
"""Archives that were made to do harm are refused, and leave nothing outside their target."""

import contextlib
import gzip
import io
import resource
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from containers.contract.archive import MAX_HEADER_BYTES, MAX_MEMBER_HEADER_BYTES, extract
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
    with pytest.raises(ArchiveError, match="more than 10000 members, 1000000 bytes"):
        extract(write(_member("big", bytes(2_000_000))), tmp_path / "bytes", max_bytes=1_000_000)
    assert not list((tmp_path / "bytes").iterdir())
    with pytest.raises(ArchiveError, match="more than 10 members"):
        extract(write(*(_member(str(number)) for number in range(20))), tmp_path / "members", max_members=10)
    assert len(list((tmp_path / "members").iterdir())) == 10


def test_pax_headers_count_like_files(write: Write, tmp_path: Path) -> None:
    path = write(*[_pax(comment="c" * 30_000) + _member(name, b"x").tobuf() + b"x" + bytes(511) for name in "abcde"])
    extract(path, tmp_path / "enough", max_bytes=200_000)
    with pytest.raises(ArchiveError, match="more than 10000 members, 100000 bytes"):
        extract(path, tmp_path / "little", max_bytes=100_000)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME], ids=repr)
def test_headers_have_a_bound_together(write: Write, tmp_path: Path, kind: bytes) -> None:
    said = b"60011 comment=" + b"c" * 59_996 + b"\n" if kind != tarfile.GNUTYPE_LONGNAME else b"n" * 60_010
    blocks = b"".join(
        _header(kind, len(said), said) + _member(str(at)).tobuf() for at in range(MAX_HEADER_BYTES // 60_000)
    )
    with pytest.raises(ArchiveError, match=f"or {MAX_HEADER_BYTES} bytes of headers, so this is no model"):
        extract(write(blocks), tmp_path / "out", wanted=lambda _: False)


def test_what_is_read_is_bounded_whatever_headers_say(write: Write, tmp_path: Path) -> None:
    path = write(_member("a", b"x"), bytes(2_000_000))
    with pytest.raises(ArchiveError, match="1000000 bytes"):
        extract(path, tmp_path / "out", max_bytes=1_000_000)
    extract(path, tmp_path / "enough", max_bytes=3_000_000)


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK], ids=repr
)
@pytest.mark.parametrize("size", [MAX_MEMBER_HEADER_BYTES + 1, 7 * 2**30, 2**70, -512])
def test_a_header_is_not_taken_into_memory_whatever_size_it_announces(
    write: Write, tmp_path: Path, kind: bytes, size: int
) -> None:
    path = write(_member("first", b"x"), _header(kind, size, bytes(MAX_MEMBER_HEADER_BYTES)), _member("a", b"x"))
    with pytest.raises(ArchiveError, match="announces -512 bytes" if size < 0 else "so this is no model"):
        extract(path, tmp_path / "out")


@pytest.mark.parametrize("link", [_pax(comment="c"), _header(tarfile.GNUTYPE_LONGLINK, 3, b"abc")], ids=["pax", "link"])
def test_headers_in_front_of_headers_end(write: Write, tmp_path: Path, link: bytes) -> None:
    with pytest.raises(ArchiveError, match="so this is no model"):
        extract(write(link * 2000, _member("a", b"x")), tmp_path / "out")


def test_a_size_below_nothing_does_not_turn_the_count_back(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="announces -1024 bytes"):
        extract(write(_member("first", b"x"), _header(tarfile.REGTYPE, -1024)), tmp_path / "header")
    with pytest.raises(ArchiveError, match="so this is no model"):
        extract(write(_pax(size="-1024"), _member("a", b"x")), tmp_path / "pax")


def test_a_pax_header_says_the_last_word_on_size_and_path(write: Write, tmp_path: Path) -> None:
    extract(write(_pax(size="3", path="b"), _header(tarfile.REGTYPE, 0, name="a"), b"xyz" + bytes(509)), tmp_path / "b")
    assert (tmp_path / "b/b").read_bytes() == b"xyz"
    for number, name in enumerate(["../a", "/a", "1/../../a", "..\\a"]):
        with pytest.raises(ArchiveError, match="leads out"):
            extract(write(_pax(path=name), _member("a", b"x")), tmp_path / str(number))


@pytest.mark.parametrize("field", ["size", "path", "GNU.sparse.size", "hdrcharset"])
def test_what_a_header_says_of_all_files_is_refused(write: Write, tmp_path: Path, field: str) -> None:
    for fields in ({"comment": "0123abc"}, {field: "1"}):
        path = write(tarfile.TarInfo.create_pax_global_header(fields), _member("a", b"x"))
        refused = pytest.raises(ArchiveError, match=r"of all its files|link or a device")
        with refused if field in fields else contextlib.nullcontext():
            extract(path, tmp_path / "-".join(fields))


@pytest.mark.parametrize(
    "members",
    [
        (_member("a", b"x"), _member("a", b"xx")),
        (_member("a", b"x"), _member("./a", b"xx")),
        (_member("a", b"x"), _member("a", kind=tarfile.DIRTYPE)),
        (_member("a", kind=tarfile.DIRTYPE), _member("a", b"x")),
        (_member("a", b"x"), _member("a/b", b"x")),
        (_member("a/b", b"x"), _member("a", b"x")),
    ],
    ids=["file", "another spelling", "file, folder", "folder, file", "file as folder", "folder as file"],
)
def test_what_two_readers_could_read_differently_is_refused(
    write: Write, tmp_path: Path, members: tuple[tarfile.TarInfo, ...]
) -> None:
    with pytest.raises(ArchiveError, match="stands in it twice"):
        extract(write(*members), tmp_path / "out")


@pytest.mark.parametrize("name", ["", ".", "a\0b", "a\nb", "\x1b[2J", "caf\udce9"], ids=repr)
def test_a_name_that_not_every_reader_takes_alike_is_refused(write: Write, tmp_path: Path, name: str) -> None:
    member = _member("a", b"x").tobuf()
    path = write(_pax(path=name) + member) if "\0" in name else write(_member(name, b"x").tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(ArchiveError, match="is no name that a file can have everywhere"):
        extract(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["n" * 300, "a/" * 2500 + "b"], ids=["name", "path"])
def test_a_name_that_the_file_system_does_not_take_is_a_sentence(write: Write, tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match=r"cannot be written here \(File name too long\)"):
        extract(write(_pax(path=name), _member("a", b"x")), tmp_path / "out")


def test_a_full_disk_is_not_the_archives_fault(write: Write, tmp_path: Path) -> None:
    path = write(_member("a", bytes(2_000_000)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(ArchiveError, match=r"'a' cannot be written here \(File too large\)"):
            extract(path, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_stands_behind_the_end_or_behind_damage_is_not_lost_in_silence(write: Write, tmp_path: Path) -> None:
    damaged = bytearray(_member("b").tobuf())
    damaged[0:1] = b"c"
    with pytest.raises(ArchiveError, match="bad checksum"):
        extract(write(_member("a", b"x"), bytes(damaged)), tmp_path / "damaged")
    with pytest.raises(ArchiveError, match="more behind its end"):
        extract(write(_member("a", b"x"), bytes(512), _member("b", b"x")), tmp_path / "zeros")


def test_the_end_of_the_gzip_file_is_read_too(write: Write, tmp_path: Path) -> None:
    path = write(_member("a", b"x"))
    whole = path.read_bytes()
    two = gzip.compress(gzip.decompress(whole)[:700]) + gzip.compress(gzip.decompress(whole)[700:])
    for name, data, said in (
        ("padded", whole + bytes(512), None),
        ("two members", two, None),
        ("garbage", whole + b"garbage", "Not a gzipped file"),
        ("cut", whole[:-4], "end-of-stream"),
        ("flipped", whole[:-8] + bytes(4) + whole[-4:], "CRC check failed"),
    ):
        path.write_bytes(data)
        with pytest.raises(ArchiveError, match=said) if said else contextlib.nullcontext():
            extract(path, tmp_path / name)
            assert (tmp_path / name / "a").read_bytes() == b"x"


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


def _damaged(random: Random) -> bytes:
    """An archive of every kind of header, with a few bytes changed and headers moved, doubled or cut."""
    blocks = [
        _member("1/", kind=tarfile.DIRTYPE).tobuf(),
        _pax(path="1/" + "a" * 200) + _member("a").tobuf(),
        _header(tarfile.GNUTYPE_LONGNAME, 300, b"1/" + b"b" * 298),
        _header(tarfile.REGTYPE, 5, b"bytes"),
        tarfile.TarInfo.create_pax_global_header({"comment": "c"}),
        _pax(size="5") + _header(tarfile.REGTYPE, 0, b"bytes", "c"),
        _header(random.choice(_KINDS), random.choice(_SIZES), b"content", "d"),
    ]
    blocks = random.sample(blocks, k=random.randint(1, len(blocks)))
    if random.random() < 0.1:
        blocks += random.choices(blocks, k=3)
    data = bytearray(b"".join(blocks) + bytes(1024))
    for _ in range(random.choice((0, 1, 2, 12))):
        data[random.randrange(len(data))] = random.choice(
            (0, 0x2F, 0x2E, 0x30, 0x37, 0x80, 0xFF, random.randrange(256))
        )
    for number in range(0, len(data), 512):
        _mend_checksum(data, number)
    packed = bytearray(gzip.compress(bytes(data), 1))
    if random.random() < 0.1:
        packed[random.randrange(len(packed))] ^= 1 << random.randrange(8)
    return bytes(packed[: random.randrange(len(packed))] if random.random() < 0.05 else packed)


_KINDS = [bytes([kind]) for kind in b"\x000123457LKNSVXgxAD"]
_SIZES = [0, 1, 7, 512, 4096, 2**17, 2**33, 2**64, -1, -512]


def _mend_checksum(data: bytearray, at: int) -> None:
    """Have a header be read although it was changed, for one with a wrong checksum says only that."""
    header = data[at : at + 512]
    if header[257:262] == b"ustar":
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        data[at : at + 512] = header


def _read_or_refuse(content: bytes, folder: Path) -> bool:
    """Tell whether an archive was read; one that is refused leaves nothing outside its target either."""
    (folder / "model.tar.gz").write_bytes(content)
    read = False
    with contextlib.suppress(ArchiveError):
        extract(folder / "model.tar.gz", folder / "out", max_bytes=2**20, max_members=100)
        read = True
    assert {each.name for each in folder.iterdir()} <= {"model.tar.gz", "out"}
    for path in (folder / "out").rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or path.stat().st_size <= 2**20
    return read


def _fuzz(folder: Path, seed: int, archives: int) -> None:
    read = 0
    for number in range(archives):
        random = Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory(dir=folder) as own:
            read += _read_or_refuse(_damaged(random), Path(own))
    assert 0.05 * archives < read < 0.95 * archives  # else most never came as far as the code that they are for


def test_damage_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    _fuzz(tmp_path, seed=1, archives=300)


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 6))
def test_damage_anywhere_is_read_or_refused_in_tens_of_thousands(tmp_path: Path, seed: int) -> None:
    _fuzz(tmp_path, seed, archives=10_000)
