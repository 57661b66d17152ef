# SPDX-License-Identifier: Apache-2.0
"""TFRecord files written with GZIP or ZLIB."""

from __future__ import annotations

import zlib
from pathlib import Path

from containers.contract.tfrecord import HEADER_BYTES, record_header
from training_src.errors import DataError

# Encoded images hardly shrink; raw zeros shrink a thousandfold.
_GREATEST_EXPANSION = 200


def is_compressed(file: Path) -> bool:
    """Whether a file is a TFRecord written with GZIP or ZLIB: it has their first bytes, and no record's header."""
    with file.open("rb") as stream:
        header = stream.read(HEADER_BYTES)
    if not header.startswith((b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")):
        return False
    return header != record_header(int.from_bytes(header[:8], "little"))


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
