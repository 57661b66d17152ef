# SPDX-License-Identifier: Apache-2.0
"""tf.Examples are read as protobuf has them, and damage is a ValueError."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.contract.tf_example import decode_example


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def _example(name: bytes, feature: bytes) -> bytes:
    return _field(1, _field(1, _field(1, name) + _field(2, feature)))


BYTES = _example(b"b", _field(1, _field(1, b"one") + _field(1, b"")))
PACKED_FLOATS = _example(b"f", _field(2, _field(1, b"\x00\x00\x80\x3f\x00\x00\x00\xbf")))
SINGLE_FLOATS = _example(b"f", _field(2, b"\x0d\x00\x00\x80\x3f\x0d\x00\x00\x00\xbf"))
PACKED_INTEGERS = _example(b"i", _field(3, _field(1, b"\x05\xac\x02" + b"\xff" * 9 + b"\x01")))
SINGLE_INTEGERS = _example(b"i", _field(3, b"\x08\x05\x08\xac\x02\x08" + b"\xff" * 9 + b"\x01"))


def test_bytes_are_read() -> None:
    assert decode_example(BYTES) == {"b": [b"one", b""]}
    assert decode_example(_example(b"none", b"")) == {"none": []}


@pytest.mark.parametrize("example", [PACKED_FLOATS, SINGLE_FLOATS], ids=["packed", "one by one"])
def test_floats_are_read_however_they_are_packed(example: bytes) -> None:
    found = decode_example(example)["f"]
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert found.tolist() == [1.0, -0.5]


@pytest.mark.parametrize("example", [PACKED_INTEGERS, SINGLE_INTEGERS], ids=["packed", "one by one"])
def test_whole_numbers_are_read_however_they_are_packed(example: bytes) -> None:
    found = decode_example(example)["i"]
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.int64
    assert found.tolist() == [5, 300, -1]


def test_what_a_later_version_adds_is_left_alone() -> None:
    later = b"\x10\x01" + _field(3, b"more") + b"\x25four" + b"\x21eightbyt"
    assert decode_example(later + BYTES) == {"b": [b"one", b""]}


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (BYTES[:-1], "a field that is cut off"),
        (b"\xff" * 11, "a number that is cut off"),
        (b"\x0b", "wire type 3"),
        (b"\x0a\x80", "a number that is cut off"),
        (_example(b"\xff", b""), "decode"),
    ],
)
def test_damage_is_told(example: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decode_example(example)


@given(st.binary(min_size=1, max_size=60))
def test_bytes_that_are_no_example_are_refused_or_read(data: bytes) -> None:
    try:
        decode_example(data)
    except ValueError:
        return
