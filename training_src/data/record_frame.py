# SPDX-License-Identifier: Apache-2.0
"""A tf.Example in three parts, so that an image's bytes are written from where they lie and never copied into it.

The same bytes as `example.encode`, at a tenth of its time: a data set's speed is decided here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import cache

from training_src.data.check_image import CheckedImage
from training_src.data.crc32c import masked_crc32c

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = b"\x0a", b"\x12", b"\x1a"


def frame(image: CheckedImage, length: int) -> tuple[bytes, bytes]:
    """What stands before and behind the image in the serialised tf.Example.

    Args:
        image: see there.
        length: of the encoded image, in bytes.

    Returns:
        Head and tail: `head + encoded + tail` equals `encode` of the image's example.
    """
    labelled = image.labelled
    boxes, width, height = labelled.boxes, labelled.width, labelled.height
    flags = [(box.difficult, box.crowd, box.truncated) for box in boxes]
    source_id = _texts((labelled.source_id,))
    scored = any(box.confidence is not None for box in boxes)
    confidences = [float("nan") if box.confidence is None else box.confidence for box in boxes] if scored else []
    # In the order of their names; none comes before image/encoded.
    tail = b"".join(
        (
            _feature("image/filename", _BYTES_LIST, source_id),
            _feature("image/format", _BYTES_LIST, _texts((image.format,))),
            _feature("image/group", _BYTES_LIST, _texts((labelled.group,))) if labelled.group else b"",
            _feature("image/height", _INT64_LIST, _integers((height,))),
            _feature("image/key/sha256", _BYTES_LIST, _texts((image.sha256,))),
            _feature("image/object/bbox/xmax", _FLOAT_LIST, _floats([box.xmax / width for box in boxes])),
            _feature("image/object/bbox/xmin", _FLOAT_LIST, _floats([box.xmin / width for box in boxes])),
            _feature("image/object/bbox/ymax", _FLOAT_LIST, _floats([box.ymax / height for box in boxes])),
            _feature("image/object/bbox/ymin", _FLOAT_LIST, _floats([box.ymin / height for box in boxes])),
            _feature("image/object/class/label", _INT64_LIST, _integers([box.label for box in boxes])),
            _feature("image/object/class/text", _BYTES_LIST, _texts(box.name for box in boxes)),
            _feature("image/object/confidence", _FLOAT_LIST, _floats(confidences)) if scored else b"",
            _feature("image/object/difficult", _INT64_LIST, _integers([difficult for difficult, _, _ in flags])),
            _feature("image/object/is_crowd", _INT64_LIST, _integers([crowd for _, crowd, _ in flags])),
            _feature("image/object/truncated", _INT64_LIST, _integers([truncated for _, _, truncated in flags])),
            _feature("image/source_id", _BYTES_LIST, source_id),
            _feature("image/width", _INT64_LIST, _integers((width,))),
        )
    )
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
    entry = _key("image/encoded") + feature
    return b"\x0a" + _varint(len(entry) + length) + entry


def _feature(name: str, kind: bytes, items: bytes) -> bytes:
    """A map entry: the name, and a list of that kind."""
    values = kind + _varint(len(items)) + items
    entry = _key(name) + b"\x12" + _varint(len(values)) + values
    return b"\x0a" + _varint(len(entry)) + entry


def _texts(texts: Iterable[str]) -> bytes:
    return b"".join(map(_text, texts))


def _floats(values: list[float]) -> bytes:
    packed = struct.pack(f"<{len(values)}f", *values)
    return b"\x0a" + _varint(len(packed)) + packed if packed else b""


def _integers(values: Iterable[int]) -> bytes:
    packed = b"".join(map(_varint, values))
    return b"\x0a" + _varint(len(packed)) + packed if packed else b""


@cache
def _key(name: str) -> bytes:
    return _text(name)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"\x0a" + _varint(len(encoded)) + encoded


def _varint(value: int) -> bytes:
    return _SMALL[value] if 0 <= value < 4096 else _long_varint(value)


def _long_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_SMALL = tuple(map(_long_varint, range(4096)))
