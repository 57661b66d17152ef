# SPDX-License-Identifier: Apache-2.0
"""JSON that is read where it stands: its skeleton step by step, what is long in it by whoever knows what it should be.

Nothing is made of a value before somebody asks for it, so a text costs what its bytes cost, whatever it says: a million
empty lists are no more than their first one that is refused.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from inference_src.errors import RequestError

MAX_KEYS = 64
"""Keys of one object: more than any form of a request has."""
MAX_NESTING = 5
"""Lists within lists that are counted: no image has as many."""
MAX_KEY = 1000
"""Bytes of a key."""
MAX_SMALL = 2**16
"""Bytes of a value that nobody asks for."""
PIECE = 2**18
"""Bytes that are looked at in one go, for other threads wait meanwhile."""

_SPACE = re.compile(rb"[ \t\n\r]*+")
CHARACTERS = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+')
"""Of a string, escapes whole."""
_LONGEST_ESCAPE = len(rb"\u0000")


@dataclass(frozen=True)
class Span:
    """A string's characters within a text: the place of the first, and the place behind the last."""

    begin: int
    end: int


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# Numbers stay text: their values do not matter, and a long one takes long to convert.
_SMALL_VALUES = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)


class JsonText:
    """A text, and the place up to which it was read.

    Attributes:
        body: The text, UTF-8.
        place: Of the next byte.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.place = len(b"\xef\xbb\xbf") if body.startswith(b"\xef\xbb\xbf") else 0

    def peek(self) -> bytes:
        """Skip white space and give the next byte; nothing at the end."""
        end = self.place
        while self.place == end:
            end = self.place + PIECE
            self.place = self._match(_SPACE, end)
        return self.body[self.place : self.place + 1]

    def take(self, character: bytes) -> bool:
        """Read a character of the skeleton if it is the next one."""
        if self.peek() != character:
            return False
        self.place += 1
        return True

    def expect(self, character: bytes) -> None:
        """Read a character of the skeleton.

        Raises:
            RequestError: 400 another one comes.
        """
        if not self.take(character):
            raise self.no_json(f"{character.decode()!r} is missing")

    def nesting(self) -> int:
        """How many `[` stand one after another here, up to `MAX_NESTING`; nothing is read."""
        before, count = self.place, 0
        while count < MAX_NESTING and self.take(b"["):
            count += 1
        self.place = before
        return count

    def elements(self) -> Iterator[int]:
        """Read a list, and give its elements' numbers; each element is read before the next is asked for."""
        self.expect(b"[")
        number = 0
        while number or not self.take(b"]"):
            yield number
            number += 1
            if self.take(b"]"):
                return
            self.expect(b",")

    def members(self) -> Iterator[str]:
        """Read an object, and give its keys; each value is read before the next key is asked for.

        Raises:
            RequestError: 400 this is no object, or it has too many keys.
        """
        self.expect(b"{")
        number = 0
        while number or not self.take(b"}"):
            if number == MAX_KEYS:
                raise RequestError(400, f"an object has more than {MAX_KEYS} keys: leave out what is not needed")
            key = self._key()
            self.expect(b":")
            yield key
            number += 1
            if self.take(b"}"):
                return
            self.expect(b",")

    def string(self) -> Span:
        """Read a string of any length.

        Raises:
            RequestError: 400 there is none, or it does not end.
        """
        self.expect(b'"')
        begin = self.place
        end = -1
        while self.place > end - _LONGEST_ESCAPE:
            end = self.place + PIECE
            self.place = self._match(CHARACTERS, end)
        if self.body[self.place : self.place + 1] != b'"':
            raise self.no_json("a string is damaged or does not end")
        self.place += 1
        return Span(begin, self.place - 1)

    def small_value(self) -> Any:
        """Read whatever comes, numbers as text.

        Raises:
            RequestError: 400 it is no JSON, or long.
        """
        self.peek()
        window = self.body[self.place : self.place + MAX_SMALL]
        try:
            value, length = _SMALL_VALUES.raw_decode(window.decode("latin-1"))
            if length == MAX_SMALL:
                raise ValueError("it may go on")
            window[:length].decode()
        except (ValueError, RecursionError) as error:
            if len(window) < MAX_SMALL:
                raise self.no_json(str(error)[:100]) from error
            asked = "it is no JSON, or it is long and not needed: leave it out"
            raise RequestError(400, f"the value at byte {self.place} is not understood: {asked}") from error
        self.place += length
        return value

    def no_json(self, why: str) -> RequestError:
        """A refusal of the text as a whole."""
        return RequestError(400, f"the body is no JSON ({why}, at byte {self.place})")

    def _key(self) -> str:
        self.peek()
        span = self.string()
        if span.end - span.begin > MAX_KEY:
            raise RequestError(400, f"a key has more than {MAX_KEY} bytes: leave it out")
        try:
            key: str = json.loads(self.body[span.begin - 1 : span.end + 1])
        except ValueError as error:
            raise self.no_json(str(error)[:100]) from error
        return key

    def _match(self, pattern: re.Pattern[bytes], end: int) -> int:
        """Where the longest match from here ends, if no byte from `end` on is looked at."""
        found = pattern.match(self.body, self.place, end)
        return found.end() if found else self.place
