# SPDX-License-Identifier: Apache-2.0
"""A JSON object's lists, an element at a time, so that a file of gigabytes needs no more memory than a small one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

CHUNK = 1 << 20
LARGEST_ELEMENT = 64 << 20

_BLANKS = re.compile(r"[ \t\n\r]*")


def elements(file: Path, *, chunk: int = CHUNK) -> Iterator[tuple[str, Any]]:
    """Every element of the lists that a file's object holds, with the list's key; other values as they are.

    An empty list yields nothing, so that it cannot be told from a missing one.

    Raises:
        ValueError: The file is no JSON object; the message says what is wrong and where.
    """
    if not file.is_file():
        raise ValueError("it is no file")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        window = _Window(stream, chunk)
        try:
            yield from _members(window)
        except RecursionError:
            raise ValueError("it nests too deeply") from None
        except UnicodeDecodeError:
            raise ValueError("it is no UTF-8 text") from None


def first(file: Path, *keys: str) -> tuple[str, Any] | None:
    """The first element under one of some keys; None where there is none, or the file is no JSON object."""
    try:
        return next((found for found in elements(file, chunk=1 << 16) if found[0] in keys), None)
    except (ValueError, OSError):
        return None


class _Window:
    """A text of which only a part is in memory."""

    def __init__(self, stream: TextIO, chunk: int) -> None:
        self._stream = stream
        self._chunk = chunk
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._before = 0  # characters that are gone
        self._ended = False
        self._at_once = True  # until it fails in this part of the text

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            match = _BLANKS.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(self._chunk):
                return ""

    def skip(self) -> None:
        """Go past the character that `peek` gave."""
        self._at += 1

    def expect(self, characters: str) -> str:
        """The next character, which must be one of some."""
        found = self.peek()
        if not found or found not in characters:
            wanted = " or ".join(f'"{character}"' for character in characters)
            raise ValueError(f"{wanted} is expected at character {self._before + self._at}")
        self.skip()
        return found

    def value(self) -> Any:
        """The next value, parsed as a whole."""
        self.peek()
        wanted = self._chunk
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._more(wanted):
                    wanted *= 2
                    continue
                raise ValueError(f"{error.msg} at character {self._before + error.pos}") from None
            may_go_on = isinstance(value, int | float) and end + len("e+308") >= len(self._text)
            if not may_go_on or not self._more(wanted):
                self._at = end
                return value

    def several(self) -> tuple[list[Any], bool]:
        """The next elements of a list, parsed at once: as many as lie whole in memory, and whether the list ends there.

        Ten times as fast as one by one. There are none where that is the only way; what stands in front of a cut is
        only whole elements where it parses as a list.
        """
        if self.peek() in ("", "]") or not self._at_once:
            return [], False
        cut = self._text.rfind("},", self._at) + 1
        if cut > self._at:
            with suppress(json.JSONDecodeError):
                found = self._decoder.decode(f"[{self._text[self._at : cut]}]")
                self._at = cut
                return found, False
        # The cut is not between elements of this list, which may end before it.
        try:
            found, end = self._decoder.raw_decode(f"[{self._text[self._at :]}")
        except json.JSONDecodeError:
            self._at_once = False
            return [], False
        self._at += end - 1
        return found, True

    def _more(self, count: int) -> bool:
        """Drop what was consumed and read on; False at the end."""
        if self._ended:
            return False
        if len(self._text) - self._at > LARGEST_ELEMENT:
            raise ValueError(f"an element at character {self._before + self._at} is larger than any annotation")
        read = self._stream.read(count)
        if not read:
            self._ended = True
            return False
        self._before += self._at
        self._text = self._text[self._at :] + read
        self._at = 0
        self._at_once = True
        return True


def _members(window: _Window) -> Iterator[tuple[str, Any]]:
    window.expect("{")
    if window.peek() == "}":
        window.skip()
    else:
        yield from _pairs(window)
    if window.peek():
        raise ValueError("something follows the object")


def _pairs(window: _Window) -> Iterator[tuple[str, Any]]:
    while True:
        key = window.value()
        if not isinstance(key, str):
            raise ValueError("a key is no text")
        window.expect(":")
        if window.peek() == "[":
            window.skip()
            for element in _list(window):
                yield key, element
        else:
            yield key, window.value()
        if window.expect(",}") == "}":
            return


def _list(window: _Window) -> Iterator[Any]:
    if window.peek() == "]":
        window.skip()
        return
    while True:
        found, ended = window.several()
        yield from found
        if ended:
            return
        if not found:
            yield window.value()
        if window.expect(",]") == "]":
            return
