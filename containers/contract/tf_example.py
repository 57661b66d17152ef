# SPDX-License-Identifier: Apache-2.0
"""Reading `tf.train.Example`s without TensorFlow or a protobuf runtime.

Source: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto and
https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

# A feature's type on the wire follows from its Python type.
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Feature = Sequence[bytes] | Floats | Integers

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


def decode_example(data: bytes) -> dict[str, Feature]:
    """The features of an Example.

    Raises:
        ValueError: These bytes are no Example.
    """
    features: dict[str, Feature] = {}
    for number, feature_map in _fields(memoryview(data)):
        if number != 1 or not isinstance(feature_map, memoryview):
            continue
        for entry_number, entry in _fields(feature_map):
            if entry_number != 1 or not isinstance(entry, memoryview):
                continue
            parts = dict(_fields(entry))
            name, value = parts.get(1, memoryview(b"")), parts.get(2, memoryview(b""))
            if not isinstance(name, memoryview) or not isinstance(value, memoryview):
                raise ValueError("a feature without a name or value")
            features[bytes(name).decode()] = _decode_feature(value)
    return features


def _decode_feature(value: memoryview) -> Feature:
    for kind, content in _fields(value):
        if not isinstance(content, memoryview):
            raise ValueError("a feature that is no list")
        if kind == _BYTES_LIST:
            return [bytes(item) for _, item in _fields(content) if isinstance(item, memoryview)]
        if kind == _FLOAT_LIST:
            floats = b"".join(bytes(item) for _, item in _fields(content) if isinstance(item, memoryview))
            return np.frombuffer(floats, "<f4").astype(np.float32)
        if kind == _INT64_LIST:
            return np.array([_signed(number) for number in _integers(content)], np.int64)
    return []


def _integers(content: memoryview) -> Iterator[int]:
    for _, item in _fields(content):
        if isinstance(item, int):
            yield item
            continue
        position = 0
        while position < len(item):
            number, position = _read_varint(item, position)
            yield number


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers with their values; fixed32 values come as the four bytes."""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _read_varint(message, position)
            yield number, value
            continue
        if wire == _DELIMITED:
            length, position = _read_varint(message, position)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(message):
            raise ValueError("a field that is cut off")
        yield number, message[position : position + length]
        position += length


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 70:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("a number that is cut off")


def _signed(value: int) -> int:
    value &= 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >> 63 else value
