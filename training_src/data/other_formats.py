# SPDX-License-Identifier: Apache-2.0
"""Pictures that are neither JPEG nor PNG, or are in CMYK: what they are, and making of them what everybody reads.

TensorFlow's records and the server know JPEG and PNG alone. Pillow reads the others; it is never let loose on a format
that the first bytes do not show, nor on more pixels than a picture may have.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from training_src.data.images import BrokenImageError, other_format, read_header

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow's names by ours, and whether the format loses nothing, so that nothing should be lost after it either.
_PILLOWS = {
    "WebP": ("WEBP", False),
    "BMP": ("BMP", True),
    "TIFF": ("TIFF", True),
    "GIF": ("GIF", True),
    "AVIF": ("AVIF", False),
    "CMYK": ("JPEG", False),
}
_JPEG_QUALITY = 95


def is_other(encoded: bytes) -> bool:
    """Whether an image is one of those that `reencoded` reads."""
    return other_format(encoded) in _PILLOWS


def read_size(encoded: bytes) -> tuple[int, int]:
    """Width and height in pixels, as stored.

    Raises:
        BrokenImageError: It cannot be read, or is of a format that nothing here reads.
    """
    with _opened(encoded) as image:
        width, height = image.size
        return width, height


def reencoded(encoded: bytes, most_pixels: float) -> bytes:
    """The first picture as PNG where its format is without loss, else as JPEG of quality 95; EXIF stays.

    Args:
        encoded: See `is_other`.
        most_pixels: Of a larger picture only the header is read.

    Raises:
        BrokenImageError: It is damaged, too large, or of a format that nothing here reads.
    """
    with _opened(encoded) as image:
        if image.width * image.height > most_pixels:
            raise BrokenImageError(f"announces {image.width} x {image.height} pixels, and was not decoded")
        _, lossless = _PILLOWS[str(other_format(encoded))]
        buffer = io.BytesIO()
        try:
            image.seek(0)
            exif = image.getexif()
            pixels = image.convert("RGB")
            if lossless:
                pixels.save(buffer, "PNG", exif=exif)
            else:
                pixels.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0, exif=exif)
        except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
            raise BrokenImageError(f"cannot be decoded ({_short(error)})") from None
    made = buffer.getvalue()
    read_header(made)
    return made


def _opened(encoded: bytes) -> Image:
    from PIL import Image, UnidentifiedImageError  # takes a tenth of a second, and few data sets need it

    kind = other_format(encoded)
    if kind not in _PILLOWS:
        raise BrokenImageError(f"is {kind}, which nothing here reads" if kind else "is neither JPEG nor PNG")
    Image.MAX_IMAGE_PIXELS = None  # the caller's own limit is the smaller one, and is a sentence
    try:
        return Image.open(io.BytesIO(encoded), formats=(_PILLOWS[kind][0],))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise BrokenImageError(f"cannot be decoded ({_short(error)})") from None


def _short(error: BaseException) -> str:
    return re.sub(r"\s*<[^>]*>", "", str(error).split("\n")[0])[:100].strip() or type(error).__name__
