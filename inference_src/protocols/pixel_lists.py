# SPDX-License-Identifier: Apache-2.0
"""An image as nested lists of numbers, read from the bytes of JSON.

A parser makes an object of each number and each list, a hundred times the text in memory, and lets no other thread run
meanwhile. Here NumPy reads piece by piece, and no piece keeps other threads waiting for more than some milliseconds.
A piece without its white space, and with a 0 for each number, must be the text of an image, which repeats itself:
`[0,0,0],` in the first row, and the first row from then on.
"""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from inference_src.errors import RequestError
from inference_src.images import Image

SMALLEST_PIECE = 2**10
GREATEST_PIECE = 2**17
"""Bytes that are read at once: few at first, for an image may be small."""

_NOTHING, _NUMBER, _OTHER = 0, ord("0"), ord("?")
_CLOSE = ord("]")
_PIXEL = np.frombuffer(b"[0,0,0],", np.uint8)
_NEGATIVE_ZERO = re.compile(rb"-0(?![0-9.eE])")
_KINDS = np.full(256, _OTHER, np.uint8)
_KINDS[list(b" \t\n\r")] = _NOTHING
_KINDS[list(b"0123456789")] = _NUMBER
_KINDS[list(b"[],")] = list(b"[],")

Tokens = NDArray[np.uint8]
"""`[`, `]` and `,` as they are, `_NUMBER` for a whole number from 0 to 255, `_OTHER` for what an image has not."""


def read_pixel_lists(body: bytes, begin: int) -> tuple[Image, int]:
    """Read one image as [height][width][3] whole numbers from 0 to 255.

    Args:
        body: JSON.
        begin: Where the image's outermost `[` is.

    Returns:
        The image, uint8 [height, width, 3], and the place behind its last `]`.

    Raises:
        RequestError: 400 the lists have another shape, hold something else, or do not end.
    """
    shape = _Shape()
    read: list[NDArray[np.uint8]] = []
    for piece, place in _pieces(body, begin + 1):
        kinds, values = _numbers(piece)
        tokens = np.flatnonzero(kinds)
        end = shape.follow(kinds[tokens])
        if end is None:
            read.append(values)
            continue
        read.append(values[: np.count_nonzero(kinds[: tokens[end]] == _NUMBER)])
        return np.concatenate(read).reshape(shape.height, shape.width, 3), place + int(tokens[end]) + 1
    raise RequestError(400, "the body is no JSON (it ends within a list)")


def _pieces(body: bytes, begin: int) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Cut a text into pieces, none within a number that an image may have, and tell where each begins."""
    size = SMALLEST_PIECE
    while begin < len(body):
        text = body[begin : begin + size]
        whole = text.rstrip(b"-0123456789")
        if begin + size < len(body) and len(text) - len(whole) <= len("-255"):
            text = whole
        # -0 is 0; every other minus is refused for what follows it.
        yield np.frombuffer(_NEGATIVE_ZERO.sub(b" 0", text) if b"-" in text else text, np.uint8), begin
        begin += len(text)
        size = min(2 * size, GREATEST_PIECE)


def _numbers(piece: NDArray[np.uint8]) -> tuple[Tokens, NDArray[np.uint8]]:
    """Read the numbers of a piece.

    Returns:
        For each byte the token that begins there, or `_NOTHING`; and the values of those that are `_NUMBER`, in order.
    """
    kinds = _KINDS[piece]
    digit = np.zeros(len(piece) + 2, bool)
    digit[1:-1] = kinds == _NUMBER
    first = np.flatnonzero(digit[1:-1] & ~digit[:-2])
    last = np.flatnonzero(digit[1:-1] & ~digit[2:])
    length = last - first + 1
    digits = piece & 15
    values = digits[last].astype(np.uint16)
    values += np.where(length > 1, digits[last - 1], 0) * np.uint16(10)
    values += np.where(length > 2, digits[last - 2], 0) * np.uint16(100)
    allowed = (length <= 3) & (values <= 255) & ((length == 1) | (digits[first] > 0))
    kinds[digit[1:-1]] = _NOTHING
    kinds[first] = np.where(allowed, _NUMBER, _OTHER)
    return kinds, values[allowed].astype(np.uint8)


class _Shape:
    """Compares the tokens behind an image's first `[` with those of an image, and learns its size from them.

    Attributes:
        width: In pixels; 0 until the first row has ended.
        height: In pixels, once the image has ended.
    """

    def __init__(self) -> None:
        self.width = 0
        self.height = 0
        self._followed = 0
        self._first_row = np.append(np.uint8(ord("[")), np.resize(_PIXEL, GREATEST_PIECE + len(_PIXEL)))
        self._rows = self._first_row[:0]

    def follow(self, tokens: Tokens) -> int | None:
        """Go on by some tokens.

        Returns:
            Which of them is the image's last `]`; None if the image goes on.

        Raises:
            RequestError: 400 they are not those of an image.
        """
        begun = 0
        if not self.width:
            begun = self._follow_first_row(tokens)
        if not self.width:
            return None
        period = len(_PIXEL) * self.width + 2
        expected = self._rows[self._followed % period :][: len(tokens) - begun]
        other = _first_difference(tokens[begun:], expected)
        self._followed += other
        if begun + other == len(tokens):
            return None
        if tokens[begun + other] == _CLOSE and self._followed % period == period - 1:
            self.height = (self._followed + 1) // period
            return begun + other
        raise self._fault(tokens[begun + other])

    def _follow_first_row(self, tokens: Tokens) -> int:
        """Go on within the first row; at its end the width is known."""
        repeated = self._followed and (self._followed - 1) % len(_PIXEL) + 1
        other = _first_difference(tokens, self._first_row[repeated:][: len(tokens)])
        self._followed += other
        if other == len(tokens):
            return other
        width, beside = divmod(self._followed, len(_PIXEL))
        if tokens[other] != _CLOSE or beside or not width:
            raise self._fault(tokens[other])
        self.width = width
        row = np.concatenate([self._first_row[:1], np.resize(_PIXEL, len(_PIXEL) * width)])
        row[-1] = _CLOSE
        row = np.append(row, np.frombuffer(b",", np.uint8))
        self._rows = np.resize(row, len(row) + GREATEST_PIECE)
        return other

    def _fault(self, token: np.uint8) -> RequestError:
        row = self._followed // (len(_PIXEL) * self.width + 2) if self.width else 0
        if token == _OTHER:
            return RequestError(400, f"row {row} holds something else than whole numbers from 0 to 255")
        if self.width:
            asked = f"{self.width} pixels of 3 numbers, as the first row's length asks"
            return RequestError(400, f"row {row} is not {asked}")
        if token == _CLOSE and self._followed <= 1:
            return RequestError(400, "an image needs at least one row of at least one pixel")
        return RequestError(400, "row 0 is not a list of pixels of 3 numbers")


def _first_difference(some: Tokens, others: Tokens) -> int:
    """The place of the first difference between two arrays of the same length; their length if there is none."""
    differs = some != others
    place = int(differs.argmax()) if len(differs) else 0
    return place if len(differs) and differs[place] else len(differs)
