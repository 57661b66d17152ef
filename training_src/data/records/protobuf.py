# SPDX-License-Identifier: Apache-2.0
"""Writing `tf.train.Example`s without TensorFlow or a protobuf runtime.

Source: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto and
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from containers.contract.tf_example import Feature

_DELIMITED = 2
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
# Numbers of one byte are nearly all: keys, lengths, labels.
_SHORT = tuple(value.to_bytes() for value in range(128))


def encode_example(features: Mapping[str, Feature]) -> bytes:
    """The bytes of an Example, its features in the order of their names."""
    return example_message(encode_features(features))


def encode_features(features: Mapping[str, Feature]) -> bytes:
    """The features of an Example in the order of their names, one after the other: those of two calls may be joined."""
    return b"".join(
        _delimited(1, _encode_name(name) + _delimited(2, _encode_feature(features[name]))) for name in sorted(features)
    )


def example_message(features: bytes) -> bytes:
    """The Example of features that `encode_features` gave."""
    return _delimited(1, features)


@lru_cache(256)
def _encode_name(name: str) -> bytes:
    return _delimited(1, name.encode())


def _encode_feature(feature: Feature) -> bytes:
    if not isinstance(feature, np.ndarray):
        return _delimited(_BYTES_LIST, b"".join([_delimited(1, item) for item in feature]))
    if feature.dtype == np.float32:
        packed = feature.astype("<f4").tobytes()
        return _delimited(_FLOAT_LIST, _delimited(1, packed) if packed else b"")
    packed = b"".join([_varint(value & 0xFFFFFFFFFFFFFFFF) for value in feature.tolist()])
    return _delimited(_INT64_LIST, _delimited(1, packed) if packed else b"")


def _delimited(number: int, content: bytes) -> bytes:
    return _SHORT[number << 3 | _DELIMITED] + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """A whole number from 0 on."""
    if value < 128:
        return _SHORT[value]
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
