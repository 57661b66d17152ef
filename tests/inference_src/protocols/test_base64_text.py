# SPDX-License-Identifier: Apache-2.0
"""Base64 is read as encoders write it into JSON, in pieces that nobody notices."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_src.errors import RequestError
from inference_src.protocols.base64_text import decode_base64
from inference_src.protocols.json_text import PIECE, JsonText


def decoded(written: bytes) -> bytes:
    text = JsonText(b'"' + written + b'"')
    return decode_base64(text.body, text.string())


@given(content=st.binary())
def test_what_was_encoded_comes_back(content: bytes) -> None:
    encoded = base64.b64encode(content).decode()
    assert decoded(encoded.encode()) == content
    assert decoded(encoded.rstrip("=").encode()) == content


@given(content=st.binary(min_size=1))
def test_escapes_and_line_ends_are_taken(content: bytes) -> None:
    """PHP writes a slash as an escape, .NET plus and slash; `base64.encodebytes` ends lines."""
    encoded = base64.b64encode(content).decode()
    assert decoded(encoded.replace("/", "\\/").encode()) == content
    assert decoded(encoded.replace("/", "\\u002F").replace("+", "\\u002B").replace("=", "\\u003d").encode()) == content
    assert decoded(json.dumps(base64.encodebytes(content).decode())[1:-1].encode()) == content


@pytest.mark.parametrize("escape", ["", "\\/", "\\u002f"])
@pytest.mark.parametrize("shift", range(4))
def test_pieces_may_end_anywhere(escape: str, shift: int) -> None:
    content = bytes([251, 255, 191]) * (PIECE // 2) + bytes(range(shift))
    encoded = base64.b64encode(content).decode()
    assert decoded((encoded.replace("/", escape) if escape else encoded).encode()) == content


@pytest.mark.parametrize(
    "written",
    [
        "!",
        "A",
        "AAAAA",
        "AA=A",
        "AA==AAAA",
        "AAA==",
        "A===",
        "====",
        "AAAA=",
        "ÄÄÄÄ",
        "\\u00e4AAA",
        "AA-_",
        "AA==" + "A" * 2**20,
    ],
)
def test_what_is_no_base64_is_refused(written: str) -> None:
    with pytest.raises(RequestError, match="b64 is not base64") as refused:
        decoded(written.encode())
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("written", "way_out"),
    [
        ("data:image/jpeg;base64,/9j/4AAQ", "leave out what stands before the comma"),
        ("_9j_4AAQ", "with + and /, not with - and _"),
        ("b'/9j/4AAQ'", "with + and /"),
    ],
)
def test_what_clients_send_in_its_place_is_told_what_to_do(written: str, way_out: str) -> None:
    """A browser's data URL, the alphabet for addresses, and what Python prints of bytes."""
    with pytest.raises(RequestError) as refused:
        decoded(written.encode())
    assert way_out in str(refused.value)
