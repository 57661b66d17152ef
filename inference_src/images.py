# SPDX-License-Identifier: Apache-2.0
"""Encoded image to upright pixels, from a sender whom nobody has to trust.

What an image is, its first bytes say; its size is read from the header, and refused before a pixel is decoded. Pixels
are those that training sees, to the grey level: JPEG with the accurate DCT and smooth chroma upsampling, PNG and CMYK
as TensorFlow's decoders make RGB of them, and all turned as EXIF's orientation says. Boxes are of the upright picture.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from containers.contract.orientation import TRANSPOSED, turn_pixels, upright_size
from containers.contract.picture_header import (
    JPEG,
    PNG,
    BrokenHeaderError,
    PictureHeader,
    UnreadCodingError,
    count_scans,
    read_header,
)
from containers.contract.pictures import MAX_PIXELS
from inference_src.errors import RequestError
from inference_src.heap import give_back_free_memory
from inference_src.picture_memory import PictureMemory, aligned
from inference_src.png import decode_png

Image = NDArray[np.uint8]
"""Pixels [height, width, 3], red, green, blue."""

MAX_SCANNED_PIXELS = 20 * MAX_PIXELS
"""Pixels times scans of a JPEG, each of which takes its time for every block. Encoders write up to 18 scans."""

_CMYK_BAND = 1 << 18
_KEPT_BYTES = 8 << 20
"""Of coefficients: more the C library is told to give back at once, or each thread would keep it beside what others
take."""


def decode_image(encoded: bytes, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode a JPEG or PNG to upright RGB; grey is spread over the three channels, transparency is dropped.

    Of several pictures in a file (animated PNG, MPO) it is the first, or the still one.

    Raises:
        RequestError: 415 neither JPEG nor PNG; 413 more pixels than allowed; 400 empty, damaged, truncated, in more
            scans than there is time for, or coded as training cannot read it (lossless JPEG, more than 8 bits a
            sample).
    """
    return _pixels(encoded, _header(encoded, max_pixels))


@contextmanager
def decoded_image(
    encoded: bytes,
    memory: PictureMemory,
    seconds: float,
    max_pixels: int = MAX_PIXELS,
    beside: Callable[[int, int], int] | None = None,
) -> Iterator[Image]:
    """Decode an image once there is room for it, and hold the room until the block ends.

    Args:
        encoded: A JPEG or PNG.
        memory: What pictures may take together.
        seconds: For how long to wait for room in it.
        max_pixels: Height times width at most.
        beside: Bytes that the work on it takes beside it, from the upright height and width; unless given, none.

    Raises:
        RequestError: See `decode_image`; 429 there was no room in time.
    """
    header = _header(encoded, max_pixels)
    with memory.taken(peak_bytes(header, beside), seconds):
        try:
            yield _pixels(encoded, header)
        finally:
            if header.coefficient_bytes > _KEPT_BYTES:
                give_back_free_memory()


def peak_bytes(header: PictureHeader, beside: Callable[[int, int], int] | None = None) -> int:
    """The greatest memory that an image takes: to be transposed it stands twice, and CMYK has a fourth channel.

    A JPEG in several scans is in memory as coefficients, too, while it is decoded.

    Args:
        header: What the image says of itself.
        beside: What the work takes beside the decoded image, as `decoded_image` says.
    """
    pixels = header.width * header.height
    stored = 4 if header.format == "jpeg" and header.channels == 4 else 3
    transposed = header.orientation in TRANSPOSED
    work = beside(*upright_size(header.height, header.width, header.orientation)) if beside else 0
    decoding, turning = pixels * stored + header.coefficient_bytes, pixels * (stored + 3 * transposed)
    return max(decoding, turning, pixels * (3 if transposed else stored) + work)


def _header(encoded: bytes, max_pixels: int) -> PictureHeader:
    if not encoded:
        raise RequestError(400, "the image is empty: give the bytes of a JPEG or PNG file")
    if not encoded.startswith((JPEG, PNG)):
        raise RequestError(415, "the image is neither JPEG nor PNG by its first bytes: convert it to one of them")
    try:
        header = read_header(encoded)
        scans = count_scans(encoded) if header.coefficient_bytes else 1
    except UnreadCodingError as error:
        raise RequestError(400, f"the image {error}: encode it anew") from error
    except BrokenHeaderError as error:
        raise RequestError(400, f"the {_kind(encoded)} is damaged: it {error}; encode it anew") from error
    if header.height * header.width > max_pixels:
        raise RequestError(
            413, f"the image has {header.width} x {header.height} pixels, more than {max_pixels} in all: scale it down"
        )
    if scans * header.height * header.width > MAX_SCANNED_PIXELS:
        raise RequestError(400, f"the JPEG has {scans} scans, too many for its size: encode it anew")
    return header


def _pixels(encoded: bytes, header: PictureHeader) -> Image:
    try:
        stored = decode_png(encoded) if header.format == "png" else _decode_jpeg(encoded, header)
    except ValueError as error:
        raise RequestError(400, f"the {_kind(encoded)} is damaged ({error}): encode it anew") from error
    return turn_pixels(stored, header.orientation)


def _kind(encoded: bytes) -> str:
    return "JPEG" if encoded.startswith(JPEG) else "PNG"


def _decode_jpeg(encoded: bytes, header: PictureHeader) -> Image:
    shape = (header.height, header.width, 4 if header.channels == 4 else 3)
    # There is room for the size that was judged: the decoder's own may be another. Its header alone can be asked for,
    # but not where colours are sampled 4:4:1.
    room = aligned((math.prod(shape),))
    colours = "CMYK" if header.channels == 4 else "RGB"
    pixels: Image = simplejpeg.decode_jpeg(encoded, colours, fastdct=False, fastupsample=False, buffer=room)
    if pixels.shape != shape:
        raise ValueError("its header states two sizes")
    return _rgb(pixels, header.adobe) if header.channels == 4 else pixels


def _rgb(cmyk: Image, inverted: bool) -> Image:
    """RGB of cyan, magenta, yellow and black, in the same memory.

    Source: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/jpeg/jpeg_mem.cc
    """
    height, width, _ = cmyk.shape
    inks, colours = cmyk.reshape(-1, 4), cmyk.reshape(-1)[: height * width * 3].reshape(-1, 3)
    for start in range(0, len(inks), _CMYK_BAND):
        band = inks[start : start + _CMYK_BAND].astype(np.uint16)
        light = band if inverted else 255 - band
        colours[start : start + _CMYK_BAND] = light[:, :3] * light[:, 3:] // 255
    return colours.reshape(height, width, 3)
