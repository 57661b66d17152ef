# SPDX-License-Identifier: Apache-2.0
"""The skeleton of JSON is read as strictly as a parser reads it, and what is long is not made into objects."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_src.errors import RequestError
from inference_src.protocols.json_text import MAX_KEYS, MAX_SMALL, PIECE, JsonText

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(max_size=20), values, max_size=10),
    max_leaves=20,
)


def walked(text: JsonText) -> Any:
    """Read a whole value by its skeleton."""
    match text.peek():
        case b"{":
            return {key: walked(text) for key in text.members()}
        case b"[":
            return [walked(text) for _ in text.elements()]
        case b'"':
            span = text.string()
            return json.loads(text.body[span.begin - 1 : span.end + 1])
    return json.loads(str(text.small_value()).replace("T", "t").replace("F", "f").replace("None", "null"))


@given(value=VALUES, indent=st.none() | st.integers(0, 2), escaped=st.booleans())
def test_a_text_is_read_as_a_parser_reads_it(value: Any, indent: int | None, escaped: bool) -> None:
    text = JsonText(json.dumps(value, indent=indent, ensure_ascii=escaped).encode())
    assert walked(text) == value
    assert text.peek() == b""


@given(value=VALUES, text=st.data())
def test_a_small_value_is_skipped_whole(value: Any, text: st.DataObject) -> None:
    written = json.dumps(value, ensure_ascii=text.draw(st.booleans())).encode()
    read = JsonText(b" " + written + b" ,")
    read.small_value()
    assert read.place == len(written) + 1


@pytest.mark.parametrize(
    "text",
    [
        b'{"a" 1}',
        b'{"a": 1',
        b'{"a": 1,}',
        b"{a: 1}",
        b"{1: 1}",
        b"[1 2]",
        b"[1,]",
        b"[1",
        b"[NaN]",
        b"[Infinity]",
        b"[01]",
        b"[+1]",
        b"[nul]",
        b'["\x01"]',
        b'["\\x"]',
        b'["\\u12g4"]',
        b'["',
        b'["\\"]',
        b'{"\xff": 1}',
        b'{"a": "\xff"}',
        b"",
    ],
)
def test_what_a_parser_refuses_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json.loads(text, parse_constant=lambda _: json.loads("-"))
    with pytest.raises(RequestError, match="no JSON"):
        walked(JsonText(text)) if text != b'{"a": "\xff"}' else [JsonText(text[6:]).small_value()]


@pytest.mark.parametrize("length", [PIECE - 2, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5])
@pytest.mark.parametrize("tail", ["", "\\u0041", "\\n", '\\"'])
def test_strings_end_where_they_end_whatever_the_pieces(length: int, tail: str) -> None:
    for before in range(8):
        written = ("a" * (length - before) + tail + "b" * before).encode()
        text = JsonText(b'"' + written + b'"x')
        span = text.string()
        assert text.body[span.begin : span.end] == written
        assert text.peek() == b"x"


def test_long_white_space_is_skipped() -> None:
    for length in (PIECE - 1, PIECE, PIECE + 1, 2 * PIECE):
        assert JsonText(b" " * length + b"x").peek() == b"x"
        assert JsonText(b" " * length).peek() == b""


def test_a_byte_order_mark_is_passed_over() -> None:
    """As TensorFlow Serving's parser passes over it."""
    assert JsonText(b"\xef\xbb\xbf{}").peek() == b"{"


@pytest.mark.parametrize(
    "value",
    [b"[" * 2**22, b"[" + b"[]," * 2**21, b'"' + b"a" * 2**22, b'"' + b'\\"' * 2**21, b"1" * 2**22, b"[1," * 2**21],
    ids=["deep", "empty lists", "string", "escapes", "number", "nested"],
)
def test_what_is_long_and_not_asked_for_is_refused_without_being_read(value: bytes) -> None:
    text = JsonText(value)
    tracemalloc.start()
    with pytest.raises(RequestError, match="leave it out"):
        text.small_value()
    assert tracemalloc.get_traced_memory()[1] < 100 * MAX_SMALL
    tracemalloc.stop()


def test_a_small_number_is_not_taken_for_the_beginning_of_a_long_one() -> None:
    assert JsonText(b"1" * (MAX_SMALL - 1)).small_value() == "1" * (MAX_SMALL - 1)
    with pytest.raises(RequestError, match="leave it out"):
        JsonText(b"1" * (MAX_SMALL + 1)).small_value()


def test_an_object_of_many_keys_is_refused() -> None:
    many = JsonText(json.dumps({str(number): 0 for number in range(MAX_KEYS + 1)}).encode())
    with pytest.raises(RequestError, match="more than 64 keys"):
        walked(many)
    with pytest.raises(RequestError, match="a key has more than"):
        walked(JsonText(json.dumps({"k" * 2000: 0}).encode()))
