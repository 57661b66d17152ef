# SPDX-License-Identifier: Apache-2.0
"""TFRecord files without TensorFlow.

A record is its length (uint64, little-endian), the masked CRC-32C of those eight bytes, the data, and the data's
masked CRC-32C. Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from training_src.data.records.crc32c import Bytes, masked_crc32c
from training_src.errors import DataError

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
HEADER_BYTES, FOOTER_BYTES = _HEADER.size, _FOOTER.size

# Encoded images hardly shrink; raw zeros shrink a thousandfold.
_GREATEST_EXPANSION = 200


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
    stream.write(record_header(len(data)))
    stream.write(data)
    stream.write(record_footer(data))


def record_header(length: int) -> bytes:
    """What stands before so many bytes of data."""
    packed = struct.pack("<Q", length)
    return packed + _FOOTER.pack(masked_crc32c(packed))


def record_footer(data: Bytes) -> bytes:
    """What stands behind the data."""
    return _FOOTER.pack(masked_crc32c(data))


def is_compressed(file: Path) -> bool:
    """Whether a file is a TFRecord written with GZIP or ZLIB: it has their first bytes, and no record's header."""
    with file.open("rb") as stream:
        header = stream.read(_HEADER.size)
    if not header.startswith((b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")):
        return False
    return len(header) < _HEADER.size or _HEADER.unpack(header)[1] != masked_crc32c(header[:8])


def decompress(file: Path, destination: Path) -> None:
    """Write a compressed TFRecord as a plain one: an image's place in the file can only be named there.

    Raises:
        DataError: The file is damaged or cut off, or expands as no images do.
    """
    unpacker = zlib.decompressobj(wbits=47)  # GZIP or ZLIB, as its first bytes say
    most = _GREATEST_EXPANSION * file.stat().st_size + (1 << 20)
    written, within = 0, False  # within a compressed stream that has not ended
    with file.open("rb") as source, destination.open("wb") as target:
        try:
            while packed := source.read(1 << 20):
                while packed:
                    within = True
                    plain = unpacker.decompress(packed, 1 << 22)
                    packed = unpacker.unconsumed_tail
                    written += len(plain)
                    target.write(plain)
                    if written > most:
                        raise DataError(
                            f"{file.name} expands more than {_GREATEST_EXPANSION}-fold; it holds no images."
                        )
                    if unpacker.eof:
                        packed, unpacker, within = unpacker.unused_data, zlib.decompressobj(wbits=47), False
        except zlib.error as error:
            raise DataError(f"{file.name} cannot be decompressed ({error}); copy the file again.") from None
        if within:
            raise DataError(f"{file.name} is cut off; copy the file again.")


def read_records(file: Path, *, checked: bool = True) -> Iterator[tuple[Span, bytes]]:
    """Every record of a file with its place.

    Args:
        file: A plain TFRecord.
        checked: Whether the data's checksums are looked at; the headers' always are.

    Raises:
        DataError: The file ends within a record, or a checksum does not fit.
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
            footer = stream.read(_FOOTER.size)
            if len(data) < length or len(footer) < _FOOTER.size:
                raise DataError(f"{place} is cut off: the file shrank while it was read.")
            if checked and _FOOTER.unpack(footer)[0] != masked_crc32c(data):
                raise DataError(
                    f"{place} is damaged: its checksum does not fit its {length} bytes; copy the file again."
                )
            yield Span(file, offset, length), data
            number += 1
