# SPDX-License-Identifier: Apache-2.0
"""Text protobuf without a schema."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_src.errors import TextFormatError
from training_src.text_format import Identifier, Message, dump, parse


def test_reads_every_notation_that_configs_use() -> None:
    message = parse(
        """
        # a comment
        model { ssd: < num_classes: 3, > };
        aspect_ratios: [1.0, 2, .5f]
        aspect_ratios: -1e-3
        names: 'it''s' names: "a\\n\\x41\\101"
        activation: RELU_6, shuffle: false empty {} none: []
        """
    )
    assert message == {
        "model": [{"ssd": [{"num_classes": [3]}]}],
        "aspect_ratios": [1.0, 2, 0.5, -0.001],
        "names": ["its", "a\nAA"],
        "activation": ["RELU_6"],
        "shuffle": ["false"],
        "empty": [{}],
        "none": [],
    }
    assert isinstance(message["activation"][0], Identifier)
    assert isinstance(message["aspect_ratios"][1], int)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        # As protobuf's text_format.MessageToString writes what is not ASCII.
        (r"caf\303\251", "café"),
        (r"caf\xc3\xa9", "café"),
        (r"\u732b \U0001F408", "猫 🐈"),
        ("café", "café"),
        (r"C:\\models", r"C:\models"),
        (r"a\'b\"c\?", "a'b\"c?"),
    ],
)
def test_escapes_stand_for_bytes_of_utf_8(written: str, text: str) -> None:
    assert parse(f'name: "{written}"') == {"name": [text]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (r'a: "caf\351"', "stands for no UTF-8 text; write the letters themselves"),
        (r'a: "\777"', "stands for no UTF-8 text"),
        (r'a: "\ud800"', "stands for no UTF-8 text"),
        (r'a: "\UFFFFFFFF"', "stands for no UTF-8 text"),
        ("a { [pkg.ext] { b: 1 } }", "cannot read '.ext] { b: 1 } }'; extensions in square brackets are not supported"),
        ("model {\n  ssd {\n", "line 3: found 'the end of the file'"),
        ("a: 1\nb 2", "line 2: found '2' where ':' or '{'"),
        ("a: 1\n\nb: $", "line 3: cannot read '$'"),
        ("a: [1 2]", "found '2' where ',' or ']'"),
        ("a: 1 }", "found '}' where a field's name"),
        ('a: "open', "cannot read '\"open'; a text ends on its own line"),
        ("a: 1\n// b", "line 2: cannot read '// b'; comments begin with #"),
        ("a = 1", "cannot read '= 1'; a value stands behind ':'"),
        ("a: “b”", "texts stand in straight quotes"),
        ("a: +1", "numbers have no +"),
        ("a: 20_000", "cannot read '20_000'; numbers have digits, a point and an exponent alone"),
    ],
)
def test_broken_text_is_one_sentence_with_file_and_line(text: str, complaint: str) -> None:
    with pytest.raises(TextFormatError, match=r"pipeline\.config, line") as error:
        parse(text, "pipeline.config")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\n<!DOCTYPE html>\n<html>", "a.config: this is a web page; fetch the raw file"),
        (
            "version https://git-lfs.github.com/spec/v1\n",
            "a.config: this is a pointer of Git LFS; fetch the file",
        ),
    ],
)
def test_what_was_fetched_instead_of_a_file_is_named(text: str, complaint: str) -> None:
    with pytest.raises(TextFormatError, match=complaint):
        parse(text, "a.config")


def test_a_byte_order_mark_is_no_text() -> None:
    assert parse("\ufeff# a comment\r\na: 1\r\n") == {"a": [1]}


def test_messages_without_end_are_one_sentence() -> None:
    with pytest.raises(TextFormatError, match="hundreds of messages lie in each other"):
        parse("a {" * 20_000, "deep.config")


names = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True)
scalars = st.one_of(
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="ascii", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x1f\x00"), max_size=12),
    st.sampled_from(["RELU_6", "true", "SIGMOID"]).map(Identifier),
)


def _message(fields: dict[str, list[Any]]) -> Message:
    return Message(fields)


messages = st.recursive(
    st.dictionaries(names, st.lists(scalars, min_size=1, max_size=3), max_size=4).map(_message),
    lambda inner: st.dictionaries(names, st.lists(inner, min_size=1, max_size=2), max_size=3).map(_message),
    max_leaves=6,
)


@given(messages)
def test_what_is_written_is_read_back(message: Message) -> None:
    assert parse(dump(message)) == message
