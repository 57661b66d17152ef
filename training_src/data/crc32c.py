# SPDX-License-Identifier: Apache-2.0
"""CRC-32C (Castagnoli, RFC 3720 appendix B.4), vectorised with NumPy: TFRecord protects every record by it.

A CRC is linear over exclusive or. So each byte's share of a block's CRC can be looked up by its position and value,
all shares of all blocks are combined at once, and only one step a block remains for Python.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78  # reflected
_BLOCK = 512
_ONES = 0xFFFFFFFF


def crc32c(data: bytes | memoryview) -> int:
    """The checksum of some bytes, as an unsigned 32-bit number."""
    if len(data) < 64:
        return _crc_by_byte(data)
    shares = _shares()
    padding = -len(data) % _BLOCK
    # Zeros in front leave a zero state as it is; the usual start of all ones is folded into the first four bytes.
    padded = np.zeros(padding + len(data), np.uint8)
    padded[padding:] = np.frombuffer(data, np.uint8)
    padded[padding : padding + 4] ^= 0xFF
    positions = np.arange(_BLOCK, dtype=np.intp) * 256
    blocks = np.bitwise_xor.reduce(shares.ravel().take(padded.reshape(-1, _BLOCK) + positions), axis=1)
    first, second, third, fourth = (row.tolist() for row in shares[:4])
    state = 0
    for block in blocks.tolist():
        passed = first[state & 255] ^ second[state >> 8 & 255] ^ third[state >> 16 & 255] ^ fourth[state >> 24]
        state = passed ^ block
    return state ^ _ONES


def masked_crc32c(data: bytes | memoryview) -> int:
    """The checksum as TFRecord stores it: rotated, and with a constant added."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & _ONES


def _crc_by_byte(data: bytes | memoryview) -> int:
    table = _last_shares()
    state = _ONES
    for byte in bytes(data):
        state = state >> 8 ^ table[(state ^ byte) & 255]
    return state ^ _ONES


@cache
def _last_shares() -> list[int]:
    values: list[int] = _shares()[-1].tolist()
    return values


@cache
def _shares() -> npt.NDArray[np.uint32]:
    """What a byte at a position adds to its block's CRC: uint32 [block, 256]."""
    shares = np.empty((_BLOCK, 256), np.uint32)
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    shares[-1] = table
    for position in range(_BLOCK - 2, -1, -1):
        later = shares[position + 1]
        shares[position] = later >> 8 ^ table[later & 255]
    return shares
