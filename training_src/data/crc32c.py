# SPDX-License-Identifier: Apache-2.0
"""CRC-32C (Castagnoli, RFC 3720 appendix B.4), by which TFRecord protects every record."""

from __future__ import annotations

from google_crc32c import extend, value

_ONES = 0xFFFFFFFF


def crc32c(data: bytes | memoryview) -> int:
    """The checksum of some bytes, as an unsigned 32-bit number."""
    return int(value(bytes(data)))


def masked_crc32c(*parts: bytes) -> int:
    """The checksum of parts behind each other as TFRecord stores it: rotated, and with a constant added."""
    crc = 0
    for part in parts:
        crc = extend(crc, part)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & _ONES
