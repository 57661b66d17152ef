# SPDX-License-Identifier: Apache-2.0
"""Headers of tar archives that may have been made to do harm."""

import tarfile
from typing import Self

MAX_HEADER_BYTES = 2**16
"""Of what is no file: a long name, or a pax header."""


class BoundedMember(tarfile.TarInfo):
    """A member in front of which no header is taken into memory whatever size it announces."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read the 512 bytes of a header."""
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.type not in tarfile.REGULAR_TYPES and member.size > MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header announces {member.size} bytes")
        return member
