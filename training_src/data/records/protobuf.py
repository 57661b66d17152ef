# SPDX-License-Identifier: Apache-2.0
"""Writing `tf.train.Example`s without TensorFlow or a protobuf runtime.

Source: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto and
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from containers.contract.tf_example import Feature

_DELIMITED = 2
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


def encode_example(features: Mapping[str, Feature]) -> bytes:
    """The bytes of an Example, its features in the order of their names."""
    entries = []
    for name in sorted(features):
        entry = _delimited(1, name.encode()) + _delimited(2, _encode_feature(features[name]))
        entries.append(_delimited(1, entry))
    return _delimited(1, b"".join(entries))


def varint(value: int) -> bytes:
    """A whole number from 0 on."""
    return _SMALL[value] if 0 <= value < len(_SMALL) else _long_varint(value)


def _encode_feature(feature: Feature) -> bytes:
    if not isinstance(feature, np.ndarray):
        return _delimited(_BYTES_LIST, b"".join(_delimited(1, item) for item in feature))
    if feature.dtype == np.float32:
        packed = feature.astype("<f4").tobytes()
        return _delimited(_FLOAT_LIST, _delimited(1, packed) if packed else b"")
    packed = b"".join(varint(value & 0xFFFFFFFFFFFFFFFF) for value in feature.tolist())
    return _delimited(_INT64_LIST, _delimited(1, packed) if packed else b"")


def _delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | _DELIMITED) + varint(len(content)) + content


def _long_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_SMALL = tuple(map(_long_varint, range(4096)))
