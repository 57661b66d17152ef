# SPDX-License-Identifier: Apache-2.0
"""What the header of a JPEG or PNG says. Nothing is decoded, and no byte of it is trusted.

Sources: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B; https://www.w3.org/TR/png-3/#5DataRep
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from containers.contract.orientation import UPRIGHT, exif_orientation

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
"""The first bytes of either."""

MOST_PARTS = 1 << 16
"""Segments or chunks that a file may have: one of 100 MB in chunks of 8 kB, as libpng writes them, has 12,000."""

# A marker is the last 0xFF of a row of them and a byte that is neither 0 nor 0xFF; what stands before is skipped.
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
# Start of frame, by every coding, JPEG-LS' too; not DHT (C4), JPG (C8) and DAC (CC), which lie between them.
_FRAMES = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
# Sequential and progressive, by Huffman's or arithmetic codes: what decoders on the web and TensorFlow's read.
_READ = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))
_PROGRESSIVE = frozenset((0xC2, 0xCA))
# Any marker but those that stand within a scan's data.
_BEHIND_DATA = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_END, _SCAN, _APP1, _APP14 = 0xD9, 0xDA, 0xE1, 0xEE
# Longer sides are not allowed: https://www.w3.org/TR/png-3/#11IHDR
_LONGEST = 1 << 31


class BrokenHeaderError(ValueError):
    """The bytes have no header of a JPEG or PNG; the message says why, to follow the file's name."""


class UnreadCodingError(BrokenHeaderError):
    """A JPEG that is whole, but coded as neither training nor the server reads it."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """A header.

    Attributes:
        format: "jpeg" or "png".
        width, height: In pixels, as stored.
        orientation: EXIF's, 1..8; 1 where there is none.
        depth: Bits a sample.
        channels: JPEG's components, 4 for CMYK; PNG's samples a pixel, one of a palette's.
        adobe: Whether a JPEG has Adobe's marker, which means that CMYK is stored inverted.
        coefficient_bytes: What decoding a JPEG in several scans, such as a progressive one, takes beside the pixels:
            all coefficients, two bytes each, until the last scan is read. 0 where each block is decoded at once.
    """

    format: str
    width: int
    height: int
    orientation: int
    depth: int
    channels: int
    adobe: bool = False
    coefficient_bytes: int = 0


def read_header(encoded: bytes) -> PictureHeader:
    """Read a picture's header.

    Raises:
        BrokenHeaderError: There is none of a JPEG or PNG, or it states no size.
        UnreadCodingError: The JPEG is lossless, hierarchical, or of more than 8 bits a sample.
    """
    if not encoded:
        raise BrokenHeaderError("is empty")
    try:
        if encoded.startswith(JPEG[:2]):
            return _jpeg(encoded)
        if encoded.startswith(PNG):
            return _png(encoded)
    except struct.error:
        raise BrokenHeaderError("cannot be decoded (its header is cut off)") from None
    raise BrokenHeaderError("is neither JPEG nor PNG")


def png_chunks(encoded: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's kind and where its content begins and ends, to IEND or to the last one that is there as a whole.

    Raises:
        BrokenHeaderError: There are more than `MOST_PARTS`.
    """
    position = len(PNG)
    for _ in range(MOST_PARTS):
        if position + 12 > len(encoded):
            return
        length, kind = struct.unpack_from(">I4s", encoded, position)
        start = position + 8
        position = start + length + 4
        if position > len(encoded):
            return
        yield kind, start, start + length
        if kind == b"IEND":
            return
    raise BrokenHeaderError(f"cannot be decoded (more than {MOST_PARTS} PNG chunks)")


def _jpeg(encoded: bytes) -> PictureHeader:
    frame: tuple[int, int] | None = None
    orientation, adobe, scanned = 0, False, b""
    for marker, start, end in _segments(encoded):
        if marker in _FRAMES and frame is None:
            frame = marker, start
        elif marker == _APP1 and not orientation and encoded[start : start + 6] == b"Exif\0\0":
            orientation = exif_orientation(encoded[start + 6 : end])
        elif marker == _APP14 and encoded[start : start + 5] == b"Adobe":
            adobe = True
        elif marker == _SCAN:
            scanned = encoded[start : start + 1]
    if frame is None:
        raise BrokenHeaderError("cannot be decoded (no frame header)")
    coding, start = frame
    depth, height, width, components = struct.unpack_from(">BHHB", encoded, start)
    if coding not in _READ:
        raise UnreadCodingError(f"is a lossless or hierarchical JPEG (SOF {coding:#x}), not sequential or progressive")
    if depth != 8:
        raise UnreadCodingError(f"is a JPEG of {depth} bits a sample, not 8")
    if not width or not height or not components:
        raise BrokenHeaderError("cannot be decoded (its header states no size or no colours)")
    several = coding in _PROGRESSIVE or scanned != bytes([components])
    held = _coefficient_bytes(encoded, start, width, height, components) if several else 0
    return PictureHeader("jpeg", width, height, orientation or UPRIGHT, depth, components, adobe, held)


def _coefficient_bytes(encoded: bytes, frame: int, width: int, height: int, components: int) -> int:
    """Of whole blocks of 8 by 8, as many as make whole units of all components, which are sampled more or less often.

    Source: `transdecode_master_selection` and `jinit_d_coef_controller` of
    https://github.com/libjpeg-turbo/libjpeg-turbo (jdcoefct.c)
    """
    factors = struct.unpack_from(">" + "xBx" * components, encoded, frame + 6)
    across, down = (max(1, *each) for each in ([both >> 4 for both in factors], [both & 15 for both in factors]))
    blocks = 0
    for both in factors:
        horizontal, vertical = max(1, both >> 4), max(1, both & 15)
        columns, rows = -(-width * horizontal // (8 * across)), -(-height * vertical // (8 * down))
        blocks += (columns + -columns % horizontal) * (rows + -rows % vertical)
    return blocks * 64 * 2


def count_scans(encoded: bytes) -> int:
    """How many scans a JPEG has that `read_header` has read, up to its end, or as far as it is there.

    Raises:
        BrokenHeaderError: It has more than `MOST_PARTS` segments.
    """
    position, scans = 2, 0
    for _ in range(MOST_PARTS):
        found = _BEHIND_DATA.search(encoded, position)
        if found is None or found[1][0] == _END:
            return scans
        marker, position = found[1][0], found.end()
        scans += marker == _SCAN
        if marker not in _ALONE:
            position += max(2, int.from_bytes(encoded[position : position + 2]))
    raise BrokenHeaderError(f"cannot be decoded (more than {MOST_PARTS} JPEG segments)")


def _segments(encoded: bytes) -> Iterator[tuple[int, int, int]]:
    """Each segment's marker and where its content begins and ends, to the first scan."""
    position = 2
    for _ in range(MOST_PARTS):
        found = _MARKER.search(encoded, position)
        if found is None:
            raise BrokenHeaderError("cannot be decoded (its header is cut off)")
        marker, position = found[1][0], found.end()
        if marker in _ALONE:
            continue
        if marker == _END:
            return
        (length,) = struct.unpack_from(">H", encoded, position)
        yield marker, position + 2, position + length
        if marker == _SCAN:
            return
        position += max(length, 2)
    raise BrokenHeaderError(f"cannot be decoded (more than {MOST_PARTS} JPEG segments)")


def _png(encoded: bytes) -> PictureHeader:
    width, height, depth, colour = struct.unpack_from(">IIBB", encoded, 16)
    if encoded[12:16] != b"IHDR" or not 0 < width < _LONGEST or not 0 < height < _LONGEST:
        raise BrokenHeaderError("cannot be decoded (its header states no size)")
    exif = next((encoded[start:end] for kind, start, end in png_chunks(encoded) if kind == b"eXIf"), b"")
    channels = {2: 3, 4: 2, 6: 4}.get(colour, 1)
    return PictureHeader("png", width, height, exif_orientation(exif), depth, channels)
