# SPDX-License-Identifier: Apache-2.0
"""Writing TFRecords of whole files: an image's bytes go from its file into a buffer, and from there into the shard."""

from __future__ import annotations

import os

import numpy as np

from training_src.data.reading import read_into
from training_src.data.tfrecord import FOOTER_BYTES, HEADER_BYTES, record_footer, record_header

# A shard is written in multiples of so many bytes. Whole pages spare the kernel work; for greater blocks it takes
# greater pieces of memory, which a virtual machine may first have to get from its host: that takes longest.
_BLOCK = 32 << 10


class ShardFile:
    """Appends records to a file, a block at a time; nothing of the last block is there before `finish`.

    Args:
        file: its descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._bytes = np.empty(1 << 20, np.uint8)
        self._used = 0

    def append(self, head: bytes, path: str, start: int, length: int, tail: bytes) -> None:
        """Append a record: `head`, so many bytes of a file from `start` on, and `tail`.

        Raises:
            OSError: the file is gone, or has become shorter.
        """
        size = len(head) + length + len(tail)
        record = self._room(HEADER_BYTES + size + FOOTER_BYTES)
        data = record[HEADER_BYTES:-FOOTER_BYTES]
        image = data[len(head) : len(head) + length]
        if read_into(image, path, start) < length:
            raise OSError(f"{path} changed while it was prepared")
        view = memoryview(record)  # type: ignore[arg-type]
        view[:HEADER_BYTES] = record_header(size)
        view[HEADER_BYTES : HEADER_BYTES + len(head)] = head
        view[HEADER_BYTES + len(head) + length : -FOOTER_BYTES] = tail
        view[-FOOTER_BYTES:] = record_footer(data)
        self._used += len(record)
        if self._used >= _BLOCK:
            self._write(self._used // _BLOCK * _BLOCK)

    def finish(self) -> None:
        """Write what is left."""
        self._write(self._used)

    def _room(self, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        """So many bytes behind what is used."""
        if self._used + size > len(self._bytes):
            larger = np.empty(self._used + size, np.uint8)
            larger[: self._used] = self._bytes[: self._used]
            self._bytes = larger
        return self._bytes[self._used : self._used + size]

    def _write(self, count: int) -> None:
        """Write so many bytes, and move the others to the front."""
        rest = memoryview(self._bytes[:count])  # type: ignore[arg-type]
        while rest:  # a file system may take less than it is given
            rest = rest[os.write(self._file, rest) :]
        self._bytes[: self._used - count] = self._bytes[count : self._used].copy()
        self._used -= count
