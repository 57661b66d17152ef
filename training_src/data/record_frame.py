# SPDX-License-Identifier: Apache-2.0
"""A tf.Example in three parts, so that an image's bytes are written from where they lie and never copied into it."""

from __future__ import annotations

import struct
from dataclasses import replace

from training_src.data.crc32c import masked_crc32c
from training_src.data.example import DetectionExample, encode

_NAME = b"image/encoded"


def frame(example: DetectionExample, length: int) -> tuple[bytes, bytes]:
    """What stands before and behind the image in the serialised tf.Example.

    Args:
        example: its `encoded` is not looked at.
        length: of the encoded image, in bytes.

    Returns:
        Head and tail: `head + encoded + tail` equals `example.encode`.
    """
    message = encode(replace(example, encoded=b""))
    empty = _image_entry(0)
    _, start = _read_varint(message, 1)
    # Features stand in the order of their names, and none comes before image/encoded.
    if not message.startswith(empty, start):
        raise AssertionError("image/encoded is not the first feature")
    tail = message[start + len(empty) :]
    entry = _image_entry(length)
    return b"\x0a" + _varint(len(entry) + length + len(tail)) + entry, tail


def record_parts(head: bytes, encoded: bytes, tail: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """The parts of a TFRecord, to be written behind each other; see `tfrecord`."""
    length = struct.pack("<Q", len(head) + len(encoded) + len(tail))
    crc = masked_crc32c(head, encoded, tail)
    return length + struct.pack("<I", masked_crc32c(length)), head, encoded, tail, struct.pack("<I", crc)


def _image_entry(length: int) -> bytes:
    """The map entry of `image/encoded` up to the image's first byte."""
    item = b"\x0a" + _varint(length)
    values = b"\x0a" + _varint(len(item) + length) + item
    feature = b"\x12" + _varint(len(values) + length) + values
    entry = b"\x0a" + _varint(len(_NAME)) + _NAME + feature
    return b"\x0a" + _varint(len(entry) + length) + entry


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
