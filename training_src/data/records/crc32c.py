# SPDX-License-Identifier: Apache-2.0
"""CRC-32C (Castagnoli, RFC 3720 appendix B.4), by which TFRecord protects every record."""

from __future__ import annotations

import numpy as np
from google_crc32c import value
from numpy.typing import NDArray

Bytes = bytes | NDArray[np.uint8]
"""Both are looked at where they lie; a `memoryview` would have to be copied."""

_ONES = 0xFFFFFFFF


def crc32c(data: bytes | memoryview) -> int:
    """The checksum of some bytes, as an unsigned 32-bit number."""
    return int(value(bytes(data)))


def masked_crc32c(data: Bytes) -> int:
    """The checksum as TFRecord stores it: rotated, and with a constant added."""
    crc = int(value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & _ONES
