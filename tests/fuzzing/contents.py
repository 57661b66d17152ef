# SPDX-License-Identifier: Apache-2.0
"""Mutations of bytes that know nothing of what they are, and the numbers and texts that have broken readers before."""

from __future__ import annotations

import random
import re

POISON: tuple[bytes, ...] = (
    b"", b"\x00", b"\xff", b"\xff\xfe", b"NaN", b"-Infinity", b"Infinity", b"1e999", b"-1", b"-0", b"0", b"1e", b"0x1",
    b"9" * 400, b"1" * 25, b"256", b"65535", b"65536", b"2147483648", b"4294967296", b"18446744073709551616", b"0.5",
    b"null", b"true", b"[]", b"{}", b"[" * 3000, b'{"a":' * 2000, b'"', b"'", b"\\ud800", b"\\u0000", b"..", b"/", b";",
    b",", b"=", b"q=0", "\u202e".encode(), b"a" * 300, b"%00", b"\t", b" " * 100,
)  # fmt: skip
WORDS = (0, 1, 2, 3, 7, 8, 9, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
LONG_WORDS = (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 100_000, 1_000_000)


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Swap, truncate, repeat, flip, cut, insert or overwrite somewhere; or make a number another one."""
    start = draw.randint(0, len(content))
    end = min(len(content), start + draw.choice((1, 1, 2, 4, 16, 200)))
    match draw.choice(("number", "number", "replace", "insert", "cut", "truncate", "repeat", "flip", "swap", "word")):
        case "number":
            return with_other_number(content, draw)
        case "replace":
            return content[:start] + draw.choice(POISON) + content[end:]
        case "insert":
            return content[:start] + draw.choice(POISON) + content[start:]
        case "cut":
            return content[:start] + content[end:]
        case "truncate":
            return content[:start]
        case "repeat":
            return content[:start] + content[start:end] * draw.choice((2, 3, 200)) + content[end:]
        case "flip":
            bit = 1 << draw.randrange(8)
            return content[:start] + bytes(byte ^ bit for byte in content[start:end]) + content[end:]
        case "swap":
            middle = draw.randint(start, len(content))
            return content[:start] + content[middle : middle + end - start] + content[start:middle] + content[middle:]
        case _:
            size = draw.choice((2, 4))
            word = draw.choice(WORDS if size == 2 else LONG_WORDS).to_bytes(size, draw.choice(("big", "little")))
            return content[:start] + word + content[start + size :]


def with_other_number(content: bytes, draw: random.Random) -> bytes:
    """One run of digits replaced by a number that is too large, negative or none."""
    numbers = [found.span() for found in re.finditer(rb"\d+", content[:100_000])]
    if not numbers:
        return content
    start, end = draw.choice(numbers)
    return content[:start] + draw.choice(POISON) + content[end:]


def word(draw: random.Random) -> int:
    """A number of two bytes: one at an edge, or any."""
    return draw.choice(WORDS) if draw.random() < 0.7 else draw.randrange(0x10000)


def long_word(draw: random.Random) -> int:
    """A number of four bytes: one at an edge, or any."""
    return draw.choice(LONG_WORDS) if draw.random() < 0.7 else draw.randrange(0x100000000)
