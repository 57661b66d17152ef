# SPDX-License-Identifier: Apache-2.0
"""A prepared split, read without TensorFlow: only what is needed to send each image to a server."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from containers.contract.errors import DataError
from containers.contract.tf_example import Feature, decode_example
from containers.contract.tfrecord import read_records, shards


@dataclass(frozen=True)
class EncodedImage:
    """An image of a split.

    Attributes:
        source_id: `image/source_id`, else `image/filename`, else shard and place.
        encoded: The bytes of the JPEG or PNG.
    """

    source_id: str
    encoded: bytes


def read_images(folder: Path) -> Iterator[EncodedImage]:
    """Read a split's images, shards by name and records in order.

    Raises:
        DataError: A shard is damaged, or a record is no tf.Example with `image/encoded`.
    """
    for shard in shards(folder):
        for number, (_, record) in enumerate(read_records(shard)):
            try:
                features = decode_example(record)
                source_id = _text(features, "image/source_id") or _text(features, "image/filename")
                yield EncodedImage(source_id or f"{shard.name}:{number}", bytes(features["image/encoded"][0]))
            except (KeyError, IndexError, ValueError) as error:
                raise DataError(
                    f"{shard}: record {number} is no tf.Example with image/encoded; write it anew"
                ) from error


def count_images(folder: Path) -> int:
    """How many records a split has.

    Raises:
        DataError: A shard is damaged.
    """
    return sum(1 for shard in shards(folder) for _ in read_records(shard))


def _text(features: Mapping[str, Feature], name: str) -> str:
    """A feature's first value; some exports have numbers for names."""
    first = next(iter(features.get(name, [])), b"")
    return first.decode() if isinstance(first, bytes) else str(first)
