# SPDX-License-Identifier: Apache-2.0
"""An image's width and height from its header, without decoding it.

Sources: ITU-T T.81 (JPEG), annex B; https://www.w3.org/TR/png-3/#11IHDR
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from training_src.data.formats.fields import AnnotationError

# Start of frame; C4, C8 and CC are other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset(range(0xD0, 0xD8)) | {0x01}


def read_size(file: Path) -> tuple[int, int]:
    """Width and height in pixels, as stored: an orientation in EXIF changes nothing.

    Raises:
        AnnotationError: the file is neither JPEG nor PNG, or ends before its size.
    """
    try:
        with file.open("rb") as stream:
            found = stream_size(stream)
    except OSError:
        found = None
    if found is None:
        raise AnnotationError("image", "is no JPEG or PNG whose size can be read; export it again, or remove it")
    return found


def stream_size(stream: BinaryIO) -> tuple[int, int] | None:
    """The same of an image's bytes; None where they tell no size."""
    beginning = stream.read(24)
    try:
        if beginning.startswith(b"\x89PNG\r\n\x1a\n") and beginning[12:16] == b"IHDR":
            width, height = struct.unpack(">II", beginning[16:24])
            return width, height
        if beginning.startswith(b"\xff\xd8"):
            stream.seek(2)
            return _jpeg_size(stream)
    except (struct.error, IndexError):
        pass
    return None


def _jpeg_size(stream: BinaryIO) -> tuple[int, int]:
    while True:
        if stream.read(1)[0] != 0xFF:
            raise struct.error
        marker = stream.read(1)[0]
        while marker == 0xFF:
            marker = stream.read(1)[0]
        if marker in _ALONE:
            continue
        (length,) = struct.unpack(">H", stream.read(2))
        if marker in _FRAMES:
            _, height, width = struct.unpack(">BHH", stream.read(5))
            return width, height
        if marker in (0xD9, 0xDA) or length < 2:
            raise struct.error
        stream.seek(length - 2, 1)
