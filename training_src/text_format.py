# SPDX-License-Identifier: Apache-2.0
"""Text protobuf without a schema: reads it into plain dictionaries and writes it back.

Follows https://protobuf.dev/reference/protobuf/textformat-spec as far as `pipeline.config` files and
label maps need it; extensions and `Any` are refused.
"""

import codecs
import re
from typing import NamedTuple, TypeAlias

from training_src.errors import TextFormatError

Value: TypeAlias = "str | int | float | Identifier | Message"


# Some editors begin a file with it.
BYTE_ORDER_MARK = "\ufeff"
# What is fetched by mistake instead of a file, by how it begins.
FOREIGN = {
    "<!doctype": "a web page; fetch the raw file",
    "<html": "a web page; fetch the raw file",
    "version https://git-lfs": "a pointer of Git LFS; fetch the file itself by `git lfs pull`",
}
# What other languages write, by how it begins, with what is right here.
HINTS = {
    r"//|/\*": "comments begin with #",
    r"=": "a value stands behind ':'",
    "[\u201c\u201d\u201e\u2018\u2019]": "texts stand in straight quotes",
    r"[\"']": "a text ends on its own line, with the quote with which it begins",
    r"\+\s*[\d.]": "numbers have no +",
    r"\.[A-Za-z_]": "extensions in square brackets are not supported; remove them",
    r"-?\.?\d": "numbers have digits, a point and an exponent alone",
}


class Identifier(str):
    """A bare word: an enum's value, `true`, `false`, `inf` or `nan`."""

    __slots__ = ()


class Message(dict[str, list[Value]]):
    """A message: each field's name with its values, in the order in which they were written."""


def parse(text: str, source: str = "text") -> Message:
    """Read a message.

    Args:
        text: The protobuf in text format.
        source: The file's name, for errors.

    Raises:
        TextFormatError: If the text breaks the grammar; the message names file, line and what was found.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    for begin, what in FOREIGN.items():
        if text.lstrip()[: len(begin)].lower() == begin:
            raise TextFormatError(f"{source}: this is {what}")
    try:
        return _Parser(_tokens(text, source), source).message(end=None)
    except RecursionError:
        raise TextFormatError(f"{source}: hundreds of messages lie in each other; no config has so many") from None


def decoded(content: bytes, source: str = "text") -> str:
    """A file's text as an editor saved it: UTF-8, or UTF-16 where it begins with that one's mark.

    Args:
        content: The file's bytes.
        source: The file's name, for errors.

    Raises:
        TextFormatError: If it is neither.
    """
    try:
        return content.decode("utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TextFormatError(f"{source}, line {line}: this is no UTF-8 text; save it as UTF-8") from None


def dump(message: Message, indent: int = 0) -> str:
    """Write a message in text format, a field a line, fields in their order."""
    lines = []
    for name, values in message.items():
        for value in values:
            if isinstance(value, Message):
                lines.append(f"{' ' * indent}{name} {{\n{dump(value, indent + 2)}{' ' * indent}}}\n")
            else:
                lines.append(f"{' ' * indent}{name}: {_scalar_text(value)}\n")
    return "".join(lines)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<number>-?\s*(?:0[xX][0-9a-fA-F]+|(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?[fF]?)(?![\w.]))
    |(?P<name>-?[A-Za-z_]\w*)
    |(?P<mark>[{}<>\[\]:,;])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CLOSING = {"{": "}", "<": ">"}


def _tokens(text: str, source: str) -> list[_Token]:
    tokens, position, line = [], 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise TextFormatError(f"{source}, line {line}: cannot read {_unread(text[position:])}")
        if match.lastgroup != "space":
            tokens.append(_Token(str(match.lastgroup), match.group(), line))
        line += match.group().count("\n")
        position = match.end()
    tokens.append(_Token("end", "the end of the file", line))
    return tokens


def _unread(rest: str) -> str:
    """The beginning of what is no part of the grammar, and what may have been meant."""
    hint = next((hint for begin, hint in HINTS.items() if re.match(begin, rest)), "")
    return f"{rest.splitlines()[0][:20]!r}{f'; {hint}' if hint else ''}"


class _Parser:
    """Recursive descent over the tokens, one at a time."""

    def __init__(self, tokens: list[_Token], source: str) -> None:
        self._tokens = tokens
        self._next = 0
        self._source = source

    def message(self, end: str | None) -> Message:
        message = Message()
        while True:
            token = self._take()
            if (end is None and token.kind == "end") or (token.kind == "mark" and token.text == end):
                return message
            if token.kind != "name":
                raise self._fault(token, "a field's name" if end is None else f"a field's name or {end!r}")
            message.setdefault(token.text, []).extend(self._values())
            if self._peek().text in (",", ";"):
                self._take()

    def _values(self) -> list[Value]:
        colon = self._peek().text == ":"
        if colon:
            self._take()
        if self._peek().text in _CLOSING:
            return [self._value()]
        if not colon:
            raise self._fault(self._peek(), "':' or '{'")
        if self._peek().text != "[":
            return [self._value()]
        return self._list()

    def _list(self) -> list[Value]:
        self._take()
        values: list[Value] = []
        while self._peek().text != "]":
            values.append(self._value())
            if self._peek().text == ",":
                self._take()
            elif self._peek().text != "]":
                raise self._fault(self._peek(), "',' or ']'")
        self._take()
        return values

    def _value(self) -> Value:
        token = self._take()
        if token.text in _CLOSING and token.kind == "mark":
            return self.message(_CLOSING[token.text])
        if token.kind == "string":
            text = self._unquoted(token)
            while self._peek().kind == "string":
                text += self._unquoted(self._take())
            return text
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "name":
            return Identifier(token.text)
        raise self._fault(token, "a value")

    def _unquoted(self, token: _Token) -> str:
        try:
            return _unquote(token.text)
        except (ValueError, OverflowError):
            shown = f"{token.text[:40]!a}"
            raise TextFormatError(
                f"{self._source}, line {token.line}: {shown} stands for no UTF-8 text; write the letters themselves"
            ) from None

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _fault(self, token: _Token, wanted: str) -> TextFormatError:
        return TextFormatError(f"{self._source}, line {token.line}: found {token.text!r} where {wanted} should stand")


def _unquote(text: str) -> str:
    r"""The text between quotes; numbers stand for bytes of UTF-8, as protobuf's own writer has `\303\251` for `é`."""
    inner, end, parts = text[1:-1], 0, []
    for match in _ESCAPE.finditer(inner):
        parts += [inner[end : match.start()].encode(), _escaped(match[1])]
        end = match.end()
    return b"".join([*parts, inner[end:].encode()]).decode()


def _escaped(escape: str) -> bytes:
    """What stands for an escape, without its backslash."""
    if escape[0] in "xuU" and len(escape) > 1:
        number = int(escape[1:], 16)
        return bytes([number]) if escape[0] == "x" else chr(number).encode()
    if escape[0] in "01234567":
        return bytes([int(escape, 8)])
    return _ESCAPED.get(escape, escape).encode()


def _number(text: str) -> int | float:
    text = re.sub(r"\s", "", text)
    if re.fullmatch(r"-?0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    if re.fullmatch(r"-?0[0-7]+", text):
        return int(text, 8)
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return float(text.rstrip("fF"))


def _scalar_text(value: Value) -> str:
    if isinstance(value, Identifier):
        return value
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return repr(value)
