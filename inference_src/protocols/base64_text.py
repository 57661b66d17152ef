# SPDX-License-Identifier: Apache-2.0
"""Base64 in a JSON string, of any length, read as TensorFlow Serving reads it.

White space between its characters and a missing end of `=` are taken, since encoders write the one and leave out the
other: https://github.com/abseil/abseil-cpp/blob/master/absl/strings/escaping.h (`Base64Unescape`).
"""

import binascii
import json
from collections.abc import Iterator

from inference_src.errors import RequestError
from inference_src.protocols.json_text import CHARACTERS, PIECE, Span

_WHITE = b" \t\n\v\f\r"
_WAY_OUT = (
    "encode the file's bytes with + and /, not with - and _; of a data URL leave out what stands before the comma"
)


def decode_base64(body: bytes, span: Span) -> bytes:
    """Decode a string's characters piece by piece: other threads wait for no more than one.

    Args:
        body: JSON.
        span: Where the characters are.

    Raises:
        RequestError: 400 they are not base64.
    """
    decoded, left = bytearray(), b""
    try:
        for characters in _characters(body, span):
            text = left + characters.translate(None, _WHITE)
            whole = max(len(text) - 1, 0) // 4 * 4  # the last four may be its end
            if b"=" in text[:whole]:
                raise ValueError("something follows its end")
            decoded += binascii.a2b_base64(text[:whole], strict_mode=True)
            left = text[whole:]
        if b"=" not in left:
            left += b"=" * (-len(left) % 4)
        decoded += binascii.a2b_base64(left, strict_mode=True)
    except ValueError as error:
        raise RequestError(400, f"b64 is not base64 ({str(error)[:100]}): {_WAY_OUT}") from error
    return bytes(decoded)


def _characters(body: bytes, span: Span) -> Iterator[bytes]:
    """Give a string's characters in pieces; some encoders write `+` and `/` as escapes."""
    begin = span.begin
    while begin < span.end:
        found = CHARACTERS.match(body, begin, min(begin + PIECE, span.end))
        end = found.end() if found else span.end
        piece = body[begin:end]
        yield json.loads(b'"' + piece + b'"').encode("ascii") if b"\\" in piece else piece
        begin = end
