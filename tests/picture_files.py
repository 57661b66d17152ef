# SPDX-License-Identifier: Apache-2.0
"""PNGs of every kind that the standard knows, as no single library writes them all, and JPEGs of four inks."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Samples = NDArray[np.uint16]

KINDS = [
    (colour, depth)
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items()
    for depth in depths
]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@dataclass(frozen=True)
class PngFile:
    """One to be made.

    Attributes:
        colour, depth: As IHDR has them.
        interlaced: By Adam7.
        transparent: With a tRNS chunk.
        height, width: In pixels.
        piece: Bytes an IDAT chunk.
    """

    colour: int
    depth: int
    interlaced: bool = False
    transparent: bool = False
    height: int = 37
    width: int = 29
    piece: int = 1000

    @property
    def name(self) -> str:
        marks = "i" * self.interlaced + "t" * self.transparent
        return f"colour{self.colour}-{self.depth}{marks}-{self.height}x{self.width}"

    def encoded(self) -> bytes:
        """The file; each row has another filter than the one above."""
        rng = np.random.default_rng(self.colour * 100 + self.depth)
        shape = (self.height, self.width, CHANNELS[self.colour])
        noise = rng.integers(0, 1 << self.depth, shape)
        slope = np.add.outer(np.arange(self.height), np.arange(self.width))[:, :, None] * (1 << self.depth) // 64
        samples = np.where(rng.random(shape) < 0.3, noise, slope % (1 << self.depth)).astype(np.uint16)
        header = struct.pack(">IIBBBBB", self.width, self.height, self.depth, self.colour, 0, 0, self.interlaced)
        colours = rng.integers(0, 256, (1 << min(self.depth, 8), 3), np.uint8)
        chunks = [chunk(b"IHDR", header)]
        if self.colour == 3:
            chunks.append(chunk(b"PLTE", colours.tobytes()))
        if self.transparent:
            chunks.append(chunk(b"tRNS", _transparency(samples, self.colour)))
        stream = zlib.compress(b"".join(self._rows(samples)))
        chunks += [chunk(b"IDAT", stream[at : at + self.piece]) for at in range(0, len(stream), self.piece)]
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")

    def _rows(self, samples: Samples) -> Iterator[bytes]:
        for top, left, down, across in ADAM7 if self.interlaced else ((0, 0, 1, 1),):
            part = samples[top::down, left::across]
            if not part.size:
                continue
            above, pixel = b"", max(1, CHANNELS[self.colour] * self.depth // 8)
            for number, row in enumerate(part):
                packed = _packed(row.reshape(-1), self.depth)
                yield bytes([number % 5]) + _filtered(packed, above or bytes(len(packed)), number % 5, pixel)
                above = packed


PNGS = [
    *(PngFile(*kind, interlaced) for kind in KINDS for interlaced in (False, True)),
    *(PngFile(*kind, transparent=True) for kind in KINDS if kind[0] not in (4, 6)),
    *(PngFile(*kind, interlaced=True, height=1, width=3) for kind in KINDS),
    PngFile(2, 8, height=1100, width=701),  # several bands
    PngFile(3, 4, True, height=1100, width=801),
    PngFile(6, 16, height=701, width=401, piece=1 << 20),
]


def cmyk_jpegs() -> dict[str, bytes]:
    """By name: as Adobe's programs write them, inverted; without their marker; and as YCCK."""
    y, x = np.mgrid[0:40, 0:52]
    inks = np.stack([x * 4, y * 5, (x + y) * 2, x * y // 9], -1).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(stream, "jpeg", quality=95)
    adobe = stream.getvalue()
    marker = adobe.index(b"\xff\xee")
    end = marker + 16
    return {
        "adobe": adobe,
        "plain": adobe[:marker] + adobe[end:],
        "ycck": adobe[: end - 1] + b"\x02" + adobe[end:],
    }


def grey_in_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG of one grey in as many scans as are asked for, of up to 883, each right by the standard.

    The first has all blocks' means; each other one bit of one coefficient, which is 0 in every block, as one long run.
    Source: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annexes B and G.
    """
    blocks = -(-width // 8) * -(-height // 8)
    frame = struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0)
    runs, left = "", blocks
    while left:
        power = min(14, left.bit_length() - 1)
        run = min(left, 2 ** (power + 1) - 1)
        runs += f"{power:04b}" + (f"{run - 2**power:0{power}b}" if power else "")
        left -= run
    means = bytes(blocks // 8) + (b"" if blocks % 8 == 0 else bytes([0xFF >> blocks % 8]))
    parts = [
        _segment(0xDB, b"\0" + bytes([1] * 64)),
        _segment(0xC2, frame),
        _segment(0xC4, b"\0" + bytes([1] + [0] * 15) + b"\0"),
        _segment(0xC4, b"\x10" + bytes([0, 0, 0, 15] + [0] * 12) + bytes(range(0, 0xF0, 0x10))),
        _segment(0xDA, b"\1\1\0\0\0\0") + means,
    ]
    entropy = int(runs + "1" * (-len(runs) % 8), 2).to_bytes(-(-len(runs) // 8)).replace(b"\xff", b"\xff\0")
    bits = [(band, high) for band in range(1, 64) for high in range(14, 0, -1)]
    for band, high in bits[: scans - 1]:
        before = 0 if high == 14 else high
        parts.append(_segment(0xDA, bytes([1, 1, 0, band, band, before << 4 | (high - 1)])) + entropy)
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content


def with_orientation(encoded: bytes, orientation: int) -> bytes:
    """A JPEG or PNG with EXIF's orientation."""
    tiff = b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1" + struct.pack(">HH", orientation, 0) + bytes(4)
    if encoded.startswith(b"\xff\xd8"):
        segment = b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff
        return encoded[:2] + segment + encoded[2:]
    return encoded[:33] + chunk(b"eXIf", tiff) + encoded[33:]


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _transparency(samples: Samples, colour: int) -> bytes:
    return b"\x00\x80" if colour == 3 else samples[0, 0].astype(">u2").tobytes()


def _packed(row: Samples, depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = (row[:, np.newaxis] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(-1).astype(np.uint8)).tobytes()


def _filtered(row: bytes, above: bytes, kind: int, pixel: int) -> bytes:
    left = bytes(pixel) + row
    corner = bytes(pixel) + above
    made = bytearray()
    for at, value in enumerate(row):
        a, b, c = left[at], above[at], corner[at]
        nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
        made.append((value - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
    return bytes(made)
