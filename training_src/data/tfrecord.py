# SPDX-License-Identifier: Apache-2.0
"""TFRecord files without TensorFlow.

A record is its length (uint64, little-endian), the masked CRC-32C of those eight bytes, the data, and the data's
masked CRC-32C. Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from training_src.data.crc32c import masked_crc32c
from training_src.errors import DataError

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


@dataclass(frozen=True)
class Span:
    """Where a record's data lie in its file, in bytes."""

    file: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """The record's data, unchecked: `read_records` has checked them."""
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.length)


def write_record(stream: BinaryIO, data: bytes) -> None:
    """Append one record."""
    length = struct.pack("<Q", len(data))
    stream.write(length + _FOOTER.pack(masked_crc32c(length)))
    stream.write(data)
    stream.write(_FOOTER.pack(masked_crc32c(data)))


def read_records(file: Path) -> Iterator[tuple[Span, bytes]]:
    """Every record of a file with its place.

    Raises:
        DataError: the file ends within a record, or a checksum does not fit.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        number = 0
        while header := stream.read(_HEADER.size):
            place = f"{file.name}: record {number}"
            if len(header) < _HEADER.size:
                raise DataError(f"{place} is cut off in its header; copy the file again.")
            length, crc = _HEADER.unpack(header)
            if crc != masked_crc32c(header[:8]):
                raise DataError(
                    f"{place} has a damaged header; this is no TFRecord file, or it is compressed or broken."
                )
            offset = stream.tell()
            if offset + length + _FOOTER.size > size:
                raise DataError(f"{place} is cut off: {length} bytes are announced, {size - offset} are left.")
            data = stream.read(length)
            if _FOOTER.unpack(stream.read(_FOOTER.size))[0] != masked_crc32c(data):
                raise DataError(
                    f"{place} is damaged: its checksum does not fit its {length} bytes; copy the file again."
                )
            yield Span(file, offset, length), data
            number += 1
