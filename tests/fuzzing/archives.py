# SPDX-License-Identifier: Apache-2.0
"""Archives of a model, and mutations of their headers, names, sizes, pax records and compression."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zlib

from tests.fuzzing.contents import mutated, with_other_number

BLOCK = 512
# Where a field of a header lies: name, mode, owner, group, size, time, checksum, type, link, format, prefix.
FIELDS = {
    "name": (0, 100),
    "mode": (100, 8),
    "uid": (108, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "type": (156, 1),
    "linkname": (157, 100),
    "magic": (257, 8),
    "prefix": (345, 155),
}
NAMES = (
    b"/etc/passwd", b"../outside", b"a/../../outside", b"model/..", b"", b".", b"a\0b", b"a" * 100, b"\xff\xfe",
    b"a//b", b"model.json", b"model.json/below", b"1", "\u202e".encode(), b"C:\\a", b"a\nb",
)  # fmt: skip
SIZES = (
    b"00000000000\0", b"00000001000\0", b"77777777777\0", b"            ", b"-0000000001\0", b"9" * 12, b"\0" * 12,
    b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\x80" + bytes(7) + b"\x01\0\0\0", b"+0000000010\0", b"0x10\0       ",
)  # fmt: skip
TYPES = b"0\x00123456780LKxgXSMVNDA"


def archives() -> dict[str, bytes]:
    """Uncompressed tar files by what is in them."""
    long_name = "runtimes/" + "a" * 150 + "/model.bin"
    return {
        "ustar": _tar(tarfile.USTAR_FORMAT, {"model.json": b"{}", "1/saved_model.pb": bytes(2000), "runtimes/": b""}),
        "GNU": _tar(tarfile.GNU_FORMAT, {long_name: bytes(600), "model.json": b"{}"}),
        "pax": _tar(tarfile.PAX_FORMAT, {long_name: bytes(600), "model.json": b"{}", "ä/ö": b"x"}),
        "pax, many": _tar(tarfile.PAX_FORMAT, {f"{number}é": b"" for number in range(40)}, comment="c" * 4000),
        "a link": _tar(tarfile.GNU_FORMAT, {"model.json": b"{}"}, link="model.json"),
        "empty": _tar(tarfile.GNU_FORMAT, {}),
    }


def _tar(form: int, members: dict[str, bytes], comment: str = "", link: str = "") -> bytes:
    file = io.BytesIO()
    headers = {"comment": comment} if comment else {}
    with tarfile.open(fileobj=file, mode="w", format=form, pax_headers=headers) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo("link")
            member.type, member.linkname = tarfile.SYMTYPE, link
            tar.addfile(member)
    return file.getvalue()


def mutated_archive(tar: bytes, draw: random.Random) -> bytes:
    """A .tar.gz whose tar, or whose compression, is not what it was."""
    for _ in range(draw.choice((0, 1, 1, 1, 2))):
        tar = _mutated_tar(tar, draw)
    match draw.choice(
        ("whole", "whole", "whole", "whole", "truncated", "bytes", "twice", "followed", "none", "deflate")
    ):
        case "truncated":
            whole = packed(tar)
            return whole[: draw.randint(0, len(whole))]
        case "bytes":
            return mutated(packed(tar), draw)
        case "twice":
            return packed(tar) + packed(tar)
        case "followed":
            return packed(tar) + draw.choice((b"\0" * 100, b"x", packed(b"")))
        case "none":
            return tar
        case "deflate":
            return zlib.compress(tar, 1)
        case _:
            return packed(tar)


def packed(tar: bytes) -> bytes:
    """As a .tar.gz."""
    return gzip.compress(tar, 1, mtime=0)


def _mutated_tar(tar: bytes, draw: random.Random) -> bytes:
    heads = [at for at in range(0, len(tar), BLOCK) if tar[at + 257 : at + 262] == b"ustar"]
    if not heads or draw.random() < 0.2:
        return mutated(tar, draw)
    at = draw.choice(heads)
    block = tar[at : at + BLOCK]
    match draw.choice(("field", "field", "field", "field", "repeat", "drop", "swap", "content", "content")):
        case "repeat":
            return tar[:at] + tar[at : at + 2 * BLOCK] * draw.choice((1, 2, 200)) + tar[at:]
        case "drop":
            return tar[:at] + tar[at + BLOCK * draw.choice((1, 2)) :]
        case "swap":
            other = draw.choice(heads)
            swapped = bytearray(tar)
            swapped[at : at + BLOCK], swapped[other : other + BLOCK] = tar[other : other + BLOCK], block
            return bytes(swapped)
        case "content":  # where a pax header has its records, and a long name its bytes
            content = tar[at + BLOCK : at + 2 * BLOCK]
            changed = draw.choice((mutated, with_other_number))(content, draw)[:BLOCK].ljust(BLOCK, b"\0")
            return tar[: at + BLOCK] + changed + tar[at + 2 * BLOCK :]
        case _:
            return tar[:at] + _with_field(block, draw) + tar[at + BLOCK :]


def _with_field(block: bytes, draw: random.Random) -> bytes:
    """A header with one field changed, and mostly with the checksum that then is right."""
    name = draw.choice(("name", "name", "size", "size", "size", "type", "type", *FIELDS))
    start, length = FIELDS[name]
    values = {"name": NAMES, "linkname": NAMES, "prefix": NAMES, "size": SIZES, "mtime": SIZES}
    value = bytes([draw.choice(TYPES)]) if name == "type" else draw.choice(values.get(name, SIZES))
    changed = block[:start] + value[:length].ljust(length, b"\0") + block[start + length :]
    if draw.random() < 0.1:
        return changed
    total = sum(changed[:148]) + sum(changed[156:]) + 8 * ord(" ")
    return changed[:148] + b"%06o\0 " % total + changed[156:]
