# SPDX-License-Identifier: Apache-2.0
"""An image's size from the beginning of its file, for layouts that state boxes as shares of it."""

from __future__ import annotations

from pathlib import Path

from training_src.data.formats.fields import AnnotationError
from training_src.data.images import BrokenImageError, read_header
from training_src.data.other_formats import is_other
from training_src.data.other_formats import read_size as read_other_size

# Most headers end within it; a thumbnail or a colour profile may make one longer.
_BEGINNING = 1 << 14


def read_size(file: Path) -> tuple[int, int]:
    """Width and height in pixels, as stored: an orientation in EXIF changes nothing.

    Raises:
        AnnotationError: The file is no picture that can be read, or ends before its size.
    """
    try:
        with file.open("rb") as stream:
            beginning = stream.read(_BEGINNING)
            try:
                facts = read_header(beginning)
            except BrokenImageError:
                whole = beginning + stream.read()
                if is_other(whole):
                    return read_other_size(whole)
                facts = read_header(whole)
    except BrokenImageError as error:
        raise AnnotationError("image", f"{error}; export it again, or remove it") from None
    except OSError as error:
        raise AnnotationError("image", f"cannot be read ({error.strerror}); copy it again") from None
    return facts.width, facts.height
