# SPDX-License-Identifier: Apache-2.0
"""Encoded image to pixels, from a sender whom nobody has to trust.

What an image is, its first bytes say; its size is read from the header, and refused before a pixel is decoded. JPEG is
decoded with the accurate DCT and smooth chroma upsampling, which is what training does, to the grey level.

The EXIF orientation is *not* applied, neither here nor in training: annotations, and so boxes, refer to the pixels as
they are stored. A client that shows a photograph upright turns the boxes with it.
"""

import struct
from typing import Literal

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from containers.contract.pictures import MAX_PIXELS
from inference_src.errors import RequestError

Image = NDArray[np.uint8]
"""Pixels [height, width, 3], red, green, blue."""


def decode_image(encoded: bytes, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode a JPEG or PNG to RGB; grey is spread over the three channels, transparency is dropped.

    Raises:
        RequestError: 415 neither JPEG nor PNG; 413 more pixels than allowed; 400 empty, damaged or truncated.
    """
    if not encoded:
        raise RequestError(400, "the image is empty: send the bytes of a JPEG or PNG file as the body")
    height, width, colours = _header(encoded)
    if height * width > max_pixels:
        raise RequestError(
            413, f"the image has {width} x {height} pixels, more than {max_pixels} in all: scale it down"
        )
    if colours == "jpeg":
        return _decode_jpeg(encoded)
    return _decode_with_opencv(encoded)


def _header(encoded: bytes) -> tuple[int, int, Literal["jpeg", "jpeg cmyk", "png"]]:
    if encoded.startswith(b"\xff\xd8\xff"):
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(encoded)
        except ValueError as error:
            raise RequestError(400, f"the JPEG is damaged ({error}): encode it anew") from error
        return height, width, "jpeg cmyk" if colours in ("CMYK", "YCCK") else "jpeg"
    if encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        if len(encoded) < 33 or encoded[12:16] != b"IHDR":
            raise RequestError(400, "the PNG is damaged (no header): encode it anew")
        width, height = struct.unpack(">II", encoded[16:24])
        return height, width, "png"
    raise RequestError(415, "the image is neither JPEG nor PNG by its first bytes: convert it to one of them")


def _decode_jpeg(encoded: bytes) -> Image:
    try:
        pixels: Image = simplejpeg.decode_jpeg(encoded, "RGB", fastdct=False, fastupsample=False)
    except ValueError as error:
        raise RequestError(400, f"the JPEG is damaged ({error}): encode it anew") from error
    return pixels


def _decode_with_opencv(encoded: bytes) -> Image:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise RequestError(400, "the image is damaged: its header can be read, its pixels cannot; encode it anew")
    return np.asarray(pixels, np.uint8)
