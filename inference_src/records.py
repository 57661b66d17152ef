# SPDX-License-Identifier: Apache-2.0
"""TFRecord shards of tf.Examples, read without TensorFlow: only what is needed to send each image to a server.

The framing: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
Lengths are checked against their CRC, so a damaged shard is noticed before it is misread; the data's own CRC is left to
whoever trains on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inference_src.errors import RecordError

MAX_RECORD_BYTES = 2**28


@dataclass(frozen=True)
class EncodedImage:
    """An image of a split.

    Attributes:
        source_id: `image/source_id`, else `image/filename`, else shard and place.
        encoded: The bytes of the JPEG or PNG.
    """

    source_id: str
    encoded: bytes


def shards(folder: Path) -> list[Path]:
    """List a split's shards in the order in which its images are numbered.

    Raises:
        RecordError: There is none.
    """
    paths = sorted(folder.glob("*.tfrecord"), key=lambda path: path.name)
    if not paths:
        raise RecordError(f"{folder}: holds no *.tfrecord; give what PrepareDataset wrote")
    return paths


def read_images(folder: Path) -> Iterator[EncodedImage]:
    """Read a split's images, shards by name and records in order.

    Raises:
        RecordError: A shard is damaged, or a record is no tf.Example with `image/encoded`.
    """
    for path in shards(folder):
        for number, record in enumerate(read_records(path)):
            place = f"{path.name}:{number}"
            try:
                features = _features(record)
                source_id = features.get("image/source_id") or features.get("image/filename") or place.encode()
                yield EncodedImage(source_id.decode(), features["image/encoded"])
            except (KeyError, IndexError, ValueError) as error:
                raise RecordError(
                    f"{path}: record {number} is no tf.Example with image/encoded; write it anew"
                ) from error


def read_records(path: Path) -> Iterator[bytes]:
    """Read a TFRecord file's records.

    Raises:
        RecordError: A length does not match its checksum, or the file ends early.
    """
    with path.open("rb") as file:
        while head := file.read(12):
            if len(head) < 12 or _masked_crc(head[:8]) != int.from_bytes(head[8:], "little"):
                raise RecordError(f"{path}: damaged near byte {file.tell() - len(head)}; upload the shard again")
            length = int.from_bytes(head[:8], "little")
            if length > MAX_RECORD_BYTES:
                raise RecordError(f"{path}: has a record of {length} bytes, more than {MAX_RECORD_BYTES}")
            record = file.read(length + 4)
            if len(record) < length + 4:
                raise RecordError(f"{path}: ends in the middle of a record; upload the shard again")
            yield record[:length]


def _features(example: bytes) -> dict[str, bytes]:
    """Give the first value of each bytes feature of a serialised tf.train.Example."""
    found = {}
    for features in _fields(example, 1):
        for entry in _fields(features, 1):
            key = next(_fields(entry, 1)).decode()
            for feature in _fields(entry, 2):
                for bytes_list in _fields(feature, 1):
                    found[key] = next(_fields(bytes_list, 1), b"")
    return found


def _fields(message: bytes, wanted: int) -> Iterator[bytes]:
    """Give the length-delimited fields of one number in a protobuf message.

    Raises:
        ValueError: The message is damaged.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 2:
            length, place = _varint(message, place)
            if place + length > len(message):
                raise ValueError("a field is longer than its message")
            if number == wanted:
                yield message[place : place + length]
            place += length
        elif wire_type == 0:
            _, place = _varint(message, place)
        elif wire_type in (1, 5):
            place += 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place += 1
        shift += 7
        if byte < 0x80:
            return value, place


def _crc_table() -> list[int]:
    """The table of CRC-32C (Castagnoli), bits reflected."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
