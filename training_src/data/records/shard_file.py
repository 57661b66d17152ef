# SPDX-License-Identifier: Apache-2.0
"""Writing TFRecords of whole files: an image's bytes go from its file into a buffer, and from there into the shard."""

from __future__ import annotations

import os

import numpy as np

from containers.contract.tfrecord import FOOTER_BYTES, HEADER_BYTES, record_footer, record_header
from training_src.data.reading import read_into


class ShardFile:
    """Appends records to a file, each in one call: what is put together in one buffer costs no new memory.

    Args:
        file: Its descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._buffer = np.empty(1 << 20, np.uint8)

    def append(self, head: bytes, path: str, start: int, length: int, tail: bytes) -> None:
        """Append a record: `head`, so many bytes of a file from `start` on, and `tail`.

        Raises:
            OSError: The file is gone, or has become shorter.
        """
        image = HEADER_BYTES + len(head)
        behind = image + length
        end = behind + len(tail)
        if end + FOOTER_BYTES > len(self._buffer):
            self._buffer = np.empty(2 * end, np.uint8)
        if read_into(self._buffer[image:behind], path, start) < length:
            raise OSError(f"{path} changed while it was prepared")
        record = memoryview(self._buffer)[: end + FOOTER_BYTES]  # type: ignore[arg-type]
        record[:HEADER_BYTES] = record_header(end - HEADER_BYTES)
        record[HEADER_BYTES:image] = head
        record[behind:end] = tail
        record[end:] = record_footer(self._buffer[HEADER_BYTES:end])  # type: ignore[arg-type]
        while record:  # a file system may take less than it is given
            record = record[os.write(self._file, record) :]
