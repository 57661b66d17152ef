# SPDX-License-Identifier: Apache-2.0
"""What an image file says of itself, and whether it is whole."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from containers.contract import picture_header
from containers.contract.orientation import UPRIGHT, turn_pixels
from containers.contract.picture_header import BrokenHeaderError, png_chunks
from training_src.errors import DataError

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png",
    ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif", ".jfif", ".jxl", ".jp2",
)  # fmt: skip
"""Of the files that a folder holds as its images; what is in them is another matter."""

# How far an image is decoded to learn whether it is whole: in full; every coefficient of it, but an eighth of its
# pixels (JPEG; it notices what the full decoding notices); or its header and end only.
DecodeCheck = Literal["full", "reduced", "header"]

Grey = np.ndarray[Any, np.dtype[np.uint8]]

# Cameras and phones append a little behind the end marker.
_TAIL = 1 << 16


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image's header says: "jpeg" or "png", its size in pixels as stored, and EXIF's orientation (1..8)."""

    format: str
    width: int
    height: int
    orientation: int = 1


# https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern and the formats' own specifications.
_OTHERS = tuple(
    (name, re.compile(mark, re.DOTALL))
    for name, mark in (
        ("WebP", rb"RIFF....WEBP"),
        ("BMP", rb"BM.{12}"),
        ("TIFF", rb"II\*\0|MM\0\*|II\+\0|MM\0\+"),
        ("GIF", rb"GIF8[79]a"),
        ("AVIF", rb"....ftyp(?:avif|avis)"),
        ("HEIC", rb"....ftyp(?:heic|heix|hevc|mif1|msf1)"),
        ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL "),
        ("JPEG 2000", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
        ("Photoshop's PSD", rb"8BPS"),
    )
)


class BrokenImageError(ValueError):
    """The bytes are no whole JPEG or PNG; the message says why, to follow the file's name."""


def read_header(encoded: bytes) -> ImageFacts:
    """What the header says; nothing is decoded.

    Raises:
        BrokenImageError: There is no header of a JPEG or PNG, or one in a colour space that detectors do not read.
    """
    try:
        found = picture_header.read_header(encoded)
    except BrokenHeaderError as error:
        if kind := other_format(encoded):
            raise BrokenImageError(f"is {kind}, not JPEG or PNG") from None
        raise BrokenImageError(str(error)) from None
    if found.format == "jpeg" and found.channels == 4:
        raise BrokenImageError("has the colour space CMYK, not RGB or grey")
    return ImageFacts(found.format, found.width, found.height, found.orientation)


def other_format(encoded: bytes) -> str | None:
    """The name of a picture's format where detectors do not read it, by its first bytes: None for all else.

    That is another than JPEG and PNG, or a JPEG in CMYK's colours.
    """
    if encoded.startswith(picture_header.JPEG[:2]):
        try:
            return "CMYK" if picture_header.read_header(encoded).channels == 4 else None
        except BrokenHeaderError:
            return None
    return next((name for name, mark in _OTHERS if mark.match(encoded)), None)


def read_orientation(encoded: bytes) -> int:
    """EXIF's orientation, 1..8; 1 where there is none, or no header."""
    try:
        return read_header(encoded).orientation
    except BrokenImageError:
        return UPRIGHT


def decode_upright(encoded: bytes, buffer: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Decode an image as the server does: upright, a JPEG as TensorFlow's INTEGER_ACCURATE decodes it.

    Args:
        encoded: A JPEG or PNG.
        buffer: Memory that a JPEG may be decoded into; the result is then only good until it is used again.

    Returns:
        Shape [height, width, 3], red, green, blue.

    Raises:
        BrokenImageError: It is damaged, or neither.
    """
    facts = read_header(encoded)
    return turn_pixels(_decode_stored(encoded, facts, buffer), facts.orientation)


def decode_picture(encoded: bytes, name: str) -> NDArray[np.uint8]:
    """See `decode_upright`; for images that were checked once, so that damage ends the work.

    Raises:
        DataError: It cannot be decoded; the message names it.
    """
    try:
        return decode_upright(encoded)
    except BrokenImageError as error:
        raise DataError(f'image "{name}" {error}; prepare the data set anew.') from None


def _decode_stored(encoded: bytes, facts: ImageFacts, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    if facts.format == "jpeg":
        room = buffer if buffer is not None and buffer.nbytes >= facts.height * facts.width * 3 else None
        return decode_jpeg(encoded, "RGB", fastdct=False, fastupsample=False, buffer=room)
    stored = decode_png(encoded, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.ascontiguousarray(stored, np.uint8)


def decode_grey(encoded: bytes, facts: ImageFacts, how: DecodeCheck) -> Grey | None:
    """Decode an image, at least to notice damage.

    Returns:
        Luma, uint8 [rows, columns], upright, at an eighth of the size or more; None where `how` is "header".

    Raises:
        BrokenImageError: It is damaged.
    """
    if facts.format == "png":
        _check_png_chunks(encoded)
        if how == "header":
            return None
        stored = decode_png(encoded, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        return turn_pixels(stored.astype(np.uint8, copy=False), facts.orientation)
    if how == "header":
        if encoded.rfind(b"\xff\xd9", -_TAIL) < 0:
            raise BrokenImageError("cannot be decoded (premature end of JPEG file)")
        return None
    least = 0 if how == "full" else 1
    # Grey takes a third of the time and reads every coefficient all the same.
    grey = decode_jpeg(encoded, "GRAY", min_height=least, min_width=least)
    return turn_pixels(grey[:, :, 0], facts.orientation)


def _check_png_chunks(encoded: bytes) -> None:
    """OpenCV overlooks damage, so the chunks' own checksums are looked at."""
    view, last = memoryview(encoded), b""
    try:
        for kind, start, end in png_chunks(encoded):
            if zlib.crc32(view[start - 4 : end]) != int.from_bytes(view[end : end + 4]):
                raise BrokenImageError("cannot be decoded (a PNG chunk's checksum does not fit)")
            last = kind
    except BrokenHeaderError as error:
        raise BrokenImageError(str(error)) from None
    if last != b"IEND":
        raise BrokenImageError("cannot be decoded (premature end of PNG file)")


def decode_jpeg(encoded: bytes, colours: str, **how: Any) -> NDArray[np.uint8]:
    """Decode a JPEG's stored pixels.

    Args:
        encoded: The JPEG.
        colours: "RGB" or "GRAY".
        **how: What else `simplejpeg.decode_jpeg` takes.

    Returns:
        Shape [height, width, 3 or 1].

    Raises:
        BrokenImageError: It is damaged.
    """
    try:
        return np.asarray(simplejpeg.decode_jpeg(encoded, colours, **how))
    except ValueError as error:
        raise BrokenImageError(f"cannot be decoded ({str(error).strip().rstrip('.')})") from None


def decode_png(encoded: bytes, flags: int) -> NDArray[Any]:
    """Decode a PNG's stored pixels by OpenCV's IMREAD flags.

    Raises:
        BrokenImageError: It is damaged.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error as error:
        raise BrokenImageError(f"cannot be decoded ({error.err or 'damaged PNG'})") from None
    if pixels is None:
        raise BrokenImageError("cannot be decoded (damaged PNG)")
    return pixels
