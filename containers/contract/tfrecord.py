# SPDX-License-Identifier: Apache-2.0
"""TFRecord files without TensorFlow.

A record is its length (uint64, little-endian), the masked CRC-32C of those eight bytes, the data, and the data's
masked CRC-32C. Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from google_crc32c import value

from containers.contract.errors import DataError

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
HEADER_BYTES, FOOTER_BYTES = _HEADER.size, _FOOTER.size
MAX_RECORD_BYTES = 2**28
"""More than any image; a file may announce what no memory holds."""


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


def shards(folder: Path) -> list[Path]:
    """A split's shards in the order in which its images are numbered.

    Raises:
        DataError: There is none.
    """
    found = sorted(folder.glob("*.tfrecord"))
    if not found:
        raise DataError(f"{folder} holds no *.tfrecord file; PrepareDataset writes them.")
    return found


def read_records(file: Path, *, checked: bool = True) -> Iterator[tuple[Span, bytes]]:
    """Every record of a file with its place.

    Args:
        file: A plain TFRecord.
        checked: Whether the data's checksums are looked at; the headers' always are.

    Raises:
        DataError: The file ends within a record, a checksum does not fit, or a record is larger than any image.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        number = 0
        while header := stream.read(HEADER_BYTES):
            place = f"{file.name}: record {number}"
            length = _length(header, place)
            offset = stream.tell()
            if offset + length + FOOTER_BYTES > size:
                raise DataError(f"{place} is cut off: {length} bytes are announced, {size - offset} are left.")
            if length > MAX_RECORD_BYTES:
                raise DataError(f"{place} has {length} bytes, more than {MAX_RECORD_BYTES}; it holds no image.")
            data = stream.read(length)
            footer = stream.read(FOOTER_BYTES)
            if len(data) < length or len(footer) < FOOTER_BYTES:
                raise DataError(f"{place} is cut off: the file shrank while it was read.")
            if checked and footer != record_footer(data):
                raise DataError(
                    f"{place} is damaged: its checksum does not fit its {length} bytes; copy the file again."
                )
            yield Span(file, offset, length), data
            number += 1


def _length(header: bytes, place: str) -> int:
    if len(header) < HEADER_BYTES:
        raise DataError(f"{place} is cut off in its header; copy the file again.")
    length = int(_HEADER.unpack(header)[0])
    if header != record_header(length):
        raise DataError(f"{place} has a damaged header; this is no TFRecord file, or it is compressed or broken.")
    return length


def write_record(stream: BinaryIO, data: bytes) -> None:
    """Append one record."""
    stream.write(record_header(len(data)))
    stream.write(data)
    stream.write(record_footer(data))


def record_header(length: int) -> bytes:
    """What stands before so many bytes of data."""
    return _HEADER.pack(length, masked_crc32c(length.to_bytes(8, "little")))


def record_footer(data: bytes) -> bytes:
    """What stands behind the data."""
    return _FOOTER.pack(masked_crc32c(data))


def masked_crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli, RFC 3720 appendix B.4) as TFRecord stores it: rotated, and with a constant added."""
    crc = int(value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
