# SPDX-License-Identifier: Apache-2.0
"""Reading an image's bytes with as few calls as there can be: two passes over millions of files feel it."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray


def read_bytes(path: str, offset: int = 0, length: int = -1) -> bytes:
    """So many bytes of a file; to its end where `length` is -1, fewer where the file ends before.

    Raises:
        OSError: The file is gone or cannot be read.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        wanted = os.fstat(file).st_size - offset if length < 0 else length
        data = os.pread(file, max(wanted, 0), offset)
        while len(data) < wanted and (more := os.pread(file, wanted - len(data), offset + len(data))):
            data += more
        return data
    finally:
        os.close(file)


def read_into(buffer: NDArray[np.uint8], path: str, offset: int = 0) -> int:
    """Fill a buffer with a file's bytes; returns how many there were.

    Raises:
        OSError: The file is gone or cannot be read.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        done = 0
        while done < len(buffer) and (more := os.preadv(file, [buffer[done:]], offset + done)):  # type: ignore[list-item]
            done += more
        return done
    finally:
        os.close(file)
