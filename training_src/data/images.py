# SPDX-License-Identifier: Apache-2.0
"""What an image file says of itself, and whether it is whole."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import simplejpeg

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")

# How far an image is decoded to learn whether it is whole: in full; every coefficient of it, but an eighth of its
# pixels (JPEG; it notices what the full decoding notices); or its header and end only.
DecodeCheck = Literal["full", "reduced", "header"]

Grey = np.ndarray[Any, np.dtype[np.uint8]]

_PNG = b"\x89PNG\r\n\x1a\n"
# Start of frame, by every coding; not DHT (C4), JPG (C8) and DAC (CC), which lie between them.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
# Cameras and phones append a little behind the end marker.
_TAIL = 1 << 16


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image's header says: "jpeg" or "png", its size in pixels as stored, and EXIF's orientation (1..8)."""

    format: str
    width: int
    height: int
    orientation: int = 1


class BrokenImageError(ValueError):
    """The bytes are no whole JPEG or PNG; the message says why, to follow the file's name."""


def read_header(encoded: bytes) -> ImageFacts:
    """What the header says; nothing is decoded.

    Raises:
        BrokenImageError: There is no header of a JPEG or PNG, or one in a colour space that detectors do not read.
    """
    if not encoded:
        raise BrokenImageError("is empty")
    try:
        if encoded.startswith(b"\xff\xd8"):
            return _jpeg_header(encoded)
        if encoded.startswith(_PNG):
            return _png_header(encoded)
    except (struct.error, IndexError):
        raise BrokenImageError("cannot be decoded (its header is cut off)") from None
    raise BrokenImageError("is neither JPEG nor PNG")


def decode_grey(encoded: bytes, facts: ImageFacts, how: DecodeCheck) -> Grey | None:
    """Decode an image, at least to notice damage.

    Returns:
        Luma, uint8 [rows, columns], at an eighth of the size or more; None where `how` is "header".

    Raises:
        BrokenImageError: It is damaged.
    """
    if facts.format == "png":
        _check_png_chunks(encoded)
        return None if how == "header" else _decode_png(encoded)
    if how == "header":
        if encoded.rfind(b"\xff\xd9", -_TAIL) < 0:
            raise BrokenImageError("cannot be decoded (premature end of JPEG file)")
        return None
    least = 0 if how == "full" else 1
    try:
        # Grey takes a third of the time and reads every coefficient all the same.
        grey: Grey = simplejpeg.decode_jpeg(encoded, colorspace="GRAY", min_height=least, min_width=least)
    except ValueError as error:
        raise BrokenImageError(f"cannot be decoded ({str(error).strip().rstrip('.')})") from None
    return grey[:, :, 0]


def _jpeg_header(encoded: bytes) -> ImageFacts:
    position, orientation = 2, 1
    while True:
        while encoded[position] != 0xFF:
            position += 1
        while (marker := encoded[position]) == 0xFF:
            position += 1
        position += 1
        if marker in _ALONE:
            continue
        if marker in (0xD9, 0xDA):
            raise BrokenImageError("cannot be decoded (no frame header)")
        if marker in _FRAMES:
            _, height, width, components = struct.unpack_from(">BHHB", encoded, position + 2)
            if components == 4:
                raise BrokenImageError("has the colour space CMYK, not RGB or grey")
            if not width or not height:
                raise BrokenImageError("cannot be decoded (its header states no size)")
            return ImageFacts("jpeg", width, height, orientation)
        length = (encoded[position] << 8) + encoded[position + 1]
        if marker == 0xE1 and encoded[position + 2 : position + 8] == b"Exif\0\0":
            orientation = _exif_orientation(encoded[position + 8 : position + length])
        position += max(length, 2)


def _exif_orientation(exif: bytes) -> int:
    """The tag 0x0112 of the first directory of a TIFF header; 1 where there is none."""
    try:
        order = {b"II": "<", b"MM": ">"}[exif[:2]]
        (offset,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, offset)
        for number in range(count):
            tag, kind = struct.unpack_from(order + "HH", exif, offset + 2 + 12 * number)
            if tag == 0x0112 and kind == 3:
                (value,) = struct.unpack_from(order + "H", exif, offset + 2 + 12 * number + 8)
                return int(value) if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1


def _png_header(encoded: bytes) -> ImageFacts:
    width, height = struct.unpack_from(">II", encoded, 16)
    # Longer sides are not allowed: https://www.w3.org/TR/png-3/#11IHDR
    if encoded[12:16] != b"IHDR" or not 0 < width < 1 << 31 or not 0 < height < 1 << 31:
        raise BrokenImageError("cannot be decoded (its header states no size)")
    return ImageFacts("png", width, height, _png_orientation(encoded))


def _png_orientation(encoded: bytes) -> int:
    position = 8
    while position + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, position)
        if kind == b"eXIf":
            return _exif_orientation(encoded[position + 8 : position + 8 + length])
        position += 12 + length
    return 1


def _check_png_chunks(encoded: bytes) -> None:
    """OpenCV overlooks damage, so the chunks' own checksums are looked at."""
    position, ended = 8, False
    while position + 12 <= len(encoded) and not ended:
        length, kind = struct.unpack_from(">I4s", encoded, position)
        end = position + 8 + length
        if end + 4 > len(encoded):
            break
        if zlib.crc32(memoryview(encoded)[position + 4 : end]) != struct.unpack_from(">I", encoded, end)[0]:
            raise BrokenImageError("cannot be decoded (a PNG chunk's checksum does not fit)")
        position, ended = end + 4, kind == b"IEND"
    if not ended:
        raise BrokenImageError("cannot be decoded (premature end of PNG file)")


def _decode_png(encoded: bytes) -> Grey:
    try:
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise BrokenImageError(f"cannot be decoded ({error.err or 'damaged PNG'})") from None
    if pixels is None:
        raise BrokenImageError("cannot be decoded (damaged PNG)")
    grey: Grey = pixels.astype(np.uint8, copy=False)
    return grey
