# SPDX-License-Identifier: Apache-2.0
"""TFRecord shards of the TF Object Detection API's tf.Examples, and `label_map.pbtxt`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO, Self

from containers.contract.tfrecord import write_record
from training_src.data.label_map import LabelMap, write_label_map
from training_src.data.records.example import encode, example_of
from training_src.data.writers.image import Image

# TensorFlow's guides ask for shards of at least 100 MB.
SHARD_BYTES = 256 << 20


class TFRecordWriter:
    """Writes `<split>-00000-of-00002.tfrecord` and so on; images without a split go to `dataset-...`."""

    def __init__(self, folder: Path, label_map: LabelMap, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._label_map = label_map
        self._shard_bytes = shard_bytes
        self._streams: dict[str, BinaryIO] = {}
        self._counts: dict[str, int] = {}

    def __enter__(self) -> Self:
        write_label_map(self._label_map, self._folder / "label_map.pbtxt")
        return self

    def write(self, image: Image) -> None:
        """Append the image's tf.Example to its split's last shard."""
        split = image.labelled.given_split or "dataset"
        stream = self._streams.get(split)
        if stream is None or stream.tell() > self._shard_bytes:
            if stream is not None:
                stream.close()
            number = self._counts.get(split, 0)
            stream = self._streams[split] = self._unnamed(split, number).open("wb")
            self._counts[split] = number + 1
        sha256 = hashlib.sha256(image.encoded).hexdigest()
        write_record(stream, encode(example_of(image.labelled, image.format, image.encoded, sha256)))

    def __exit__(self, *_: object) -> None:
        for stream in self._streams.values():
            stream.close()
        for split, count in self._counts.items():
            for number in range(count):
                whole = self._folder / f"{split}-{number:05d}-of-{count:05d}.tfrecord"
                self._unnamed(split, number).replace(whole)

    def _unnamed(self, split: str, number: int) -> Path:
        """A shard whose name waits for the number of shards."""
        return self._folder / f"{split}-{number:05d}.partial"
