# SPDX-License-Identifier: Apache-2.0
"""JPEG and PNG files in every form that decoders meet, and mutations of their segments, chunks, sizes and EXIF."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import TypeVar

import numpy as np
from PIL import Image, PngImagePlugin

from tests.fuzzing.contents import long_word, mutated, word

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Start of a frame: the segment that says how large the picture is.
FRAMES = (0xC0, 0xC1, 0xC2)
SCAN, END = 0xDA, 0xD9
SIDES = (0, 1, 2, 15, 17, 255, 4000, 9_999, 10_001, 32_767, 65_500, 65_535)
ORIENTATION = 0x112


def pictures() -> dict[str, bytes]:
    """Small files by what is in them."""
    y, x = np.mgrid[0:24, 0:32]
    pixels = np.stack([180 + x, 90 + y, 20 + x // 2], -1).astype(np.uint8)
    colour = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x10E] = 6, "a camera"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a" * 200, zip=True)
    return {
        "jpeg": _saved(colour, "JPEG", quality=90),
        "jpeg 4:4:4": _saved(colour, "JPEG", subsampling=0),
        "jpeg progressive": _saved(colour, "JPEG", progressive=True),
        "jpeg with EXIF": _saved(colour, "JPEG", exif=exif, comment=b"x"),
        "jpeg with restarts": _saved(colour, "JPEG", restart_marker_blocks=1),
        "jpeg grey": _saved(colour.convert("L"), "JPEG"),
        "jpeg of four inks": _saved(colour.convert("CMYK"), "JPEG"),
        "jpeg 4:4:1": sampled_upright(),
        "jpeg of a pixel": _saved(colour.crop((0, 0, 1, 1)), "JPEG"),
        "png": _saved(colour, "PNG"),
        "png with transparency": _saved(colour.convert("RGBA"), "PNG"),
        "png with a palette": _saved(colour.convert("P"), "PNG", transparency=3),
        "png of a bit": _saved(colour.convert("1"), "PNG"),
        "png grey, 16 bit": _saved(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG"),
        "png with text and EXIF": _saved(colour, "PNG", pnginfo=text, exif=exif),
    }


def sampled_upright() -> bytes:
    """A grey-brown 8x32 JPEG whose colours have one value for four rows, "4:4:1", as few encoders write one.

    A block of 16x16 pixels at 4:2:0 is coded as one of 8x32 at 4:4:1 is: four blocks of luma, one of either colour.
    """
    square = bytearray(_saved(Image.new("RGB", (16, 16), (200, 120, 40)), "JPEG", subsampling=2, quality=95))
    frame = square.index(b"\xff\xc0")
    square[frame + 5 : frame + 9] = struct.pack(">HH", 32, 8)
    square[frame + 11] = 0x14
    return bytes(square)


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def mutated_picture(content: bytes, draw: random.Random) -> bytes:
    """One or two mutations, most of them of what the format means."""
    for _ in range(draw.choice((1, 1, 2))):
        if draw.random() < 0.3:
            content = mutated(content, draw)
        elif content.startswith(SIGNATURE):
            content = _mutated_png(content, draw)
        else:
            content = _mutated_jpeg(content, draw)
    return content


_Part = TypeVar("_Part")


def _rearrange(draw: random.Random, how: str, parts: list[_Part], number: int) -> None:
    """Drop a part, repeat it, or swap it with another."""
    if how == "drop":
        del parts[number]
    elif how == "repeat":
        parts[number:number] = [parts[number]] * draw.choice((1, 2, 300))
    else:
        other = draw.randrange(len(parts))
        parts[number], parts[other] = parts[other], parts[number]


Segments = list[tuple[int, bytes]]
"""A JPEG's segments, marker and payload, and as the last one what follows the first start of a scan."""


def _segments(content: bytes) -> tuple[Segments, bytes]:
    found, at = Segments(), 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != SCAN:
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        found.append((content[at + 1], content[at + 4 : at + 2 + length]))
        at += 2 + max(length, 2)
    return found, content[at:]


def _mutated_jpeg(content: bytes, draw: random.Random) -> bytes:
    segments, scan = _segments(content)
    if not segments:
        return mutated(content, draw)
    number = draw.randrange(len(segments))
    marker, payload = segments[number]
    wrong_length = None
    match draw.choice(
        ("length", "drop", "repeat", "swap", "marker", "payload", "size", "size", "exif", "exif", "scan")
    ):
        case "length":
            wrong_length = word(draw)
        case "drop" | "repeat" | "swap" as how:
            _rearrange(draw, how, segments, number)
        case "marker":
            segments[number] = (draw.choice((0, 1, 0xC0, 0xC2, 0xC3, 0xC9, 0xD8, END, 0xE1, 0xEE, 0xFF)), payload)
        case "payload":
            segments[number] = (marker, mutated(payload, draw)[:65_533])
        case "size":
            segments = [(kind, _resized(data, draw) if kind in FRAMES else data) for kind, data in segments]
        case "exif":
            segments.insert(draw.randint(0, len(segments)), (0xE1, b"Exif\0\0" + tiff(draw)))
        case _:
            scan = mutated(scan, draw)
    parts = [b"\xff\xd8"]
    for index, (kind, data) in enumerate(segments):
        length = wrong_length if index == number and wrong_length is not None else len(data) + 2
        parts.append(bytes([0xFF, kind]) + length.to_bytes(2, "big") + data)
    return b"".join(parts) + scan


def _resized(frame: bytes, draw: random.Random) -> bytes:
    """Another height or width, other sampling factors or numbers of components."""
    if len(frame) < 5:  # an earlier mutation's
        return mutated(frame, draw)[:65_533]
    height, width = (draw.choice((side, word(draw), *SIDES)) for side in struct.unpack(">HH", frame[1:5]))
    changed = frame[:1] + struct.pack(">HH", height, width) + frame[5:]
    if draw.random() < 0.3:
        at = draw.choice((0, 5, *range(6, len(changed))))
        changed = (
            changed[:at] + bytes([draw.choice((0, 1, 2, 3, 4, 8, 12, 0x11, 0x14, 0x41, 0x44, 255))]) + changed[at + 1 :]
        )
    return changed


def tiff(draw: random.Random) -> bytes:
    """EXIF's own file: tags of which some are orientations, with types, counts and places that need not be true."""
    order = draw.choice("<>")
    entries = []
    for _ in range(draw.choice((0, 1, 1, 2, 200))):
        tag = draw.choice((ORIENTATION, ORIENTATION, 0x8769, 0x8825, word(draw)))
        kind = draw.choice((3, 3, 3, 4, 1, 2, 5, 12, 13, 0, word(draw)))
        count = draw.choice((1, 1, 1, long_word(draw)))
        value = draw.choice((0, 1, 3, 5, 6, 8, 9, word(draw)))
        entries.append(struct.pack(order + "HHI", tag, kind, count) + struct.pack(order + "HH", value, word(draw)))
    stated = draw.choice((len(entries), len(entries), word(draw)))
    first = draw.choice((8, 8, 8, 0, long_word(draw)))
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", draw.choice((42, 42, 43)), first)
    next_one = struct.pack(order + "I", draw.choice((0, 8, long_word(draw))))
    return head + struct.pack(order + "H", stated) + b"".join(entries) + next_one


Chunks = list[tuple[bytes, bytes]]
"""A PNG's chunks, kind and data."""


def _chunks(content: bytes) -> Chunks:
    found, at = Chunks(), len(SIGNATURE)
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _mutated_png(content: bytes, draw: random.Random) -> bytes:
    chunks = _chunks(content)
    if not chunks:
        return mutated(content, draw)
    number = draw.randrange(len(chunks))
    kind, data = chunks[number]
    wrong_length = None
    match draw.choice(("length", "drop", "repeat", "swap", "kind", "data", "size", "size", "pixels", "text", "exif")):
        case "length":
            wrong_length = draw.choice((len(data) + draw.choice((-1, 1)), long_word(draw))) % 2**32
        case "drop" | "repeat" | "swap" as how:
            _rearrange(draw, how, chunks, number)
        case "kind":
            chunks[number] = (draw.choice((b"IDAT", b"PLTE", b"tRNS", b"acTL", b"iCCP", b"\0\0\0\0")), data)
        case "data":
            chunks[number] = (kind, mutated(data, draw))
        case "size":
            chunks = [(name, _header(own, draw) if name == b"IHDR" else own) for name, own in chunks]
        case "pixels":
            chunks = [(name, _recompressed(own, draw) if name == b"IDAT" else own) for name, own in chunks]
        case "text":
            bomb = zlib.compress(bytes(draw.choice((0, 100, 20_000_000))))
            chunks.insert(1, (draw.choice((b"zTXt", b"iCCP")), b"a\0\0" + bomb))
        case _:
            chunks.insert(draw.randint(1, len(chunks)), (b"eXIf", tiff(draw)))
    parts = [SIGNATURE]
    for index, (name, own) in enumerate(chunks):
        length = wrong_length if index == number and wrong_length is not None else len(own)
        right = zlib.crc32(name + own) if draw.random() < 0.95 else long_word(draw)
        parts.append(length.to_bytes(4, "big") + name + own + right.to_bytes(4, "big"))
    return b"".join(parts)


def _header(header: bytes, draw: random.Random) -> bytes:
    """Another size, depth, colour type or interlacing."""
    if len(header) < 13 or draw.random() < 0.5:
        at = draw.randrange(8, 13)
        return header[:at] + bytes([draw.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 255))]) + header[at + 1 :]
    sides = (draw.choice((24, 32, *SIDES, long_word(draw))) for _ in range(2))
    return struct.pack(">II", *sides) + header[8:]


def _recompressed(data: bytes, draw: random.Random) -> bytes:
    """Pixels that are too few, too many, or not compressed right."""
    rows = draw.choice((b"", bytes(100), bytes(3_000_000), b"\x05" * 3000, draw.randbytes(3000)))
    return draw.choice((zlib.compress(rows), zlib.compress(rows)[:-4], rows[:3000], data + data))
