# SPDX-License-Identifier: Apache-2.0
"""TFRecord shards of the TF Object Detection API's tf.Examples, and `label_map.pbtxt`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from containers.contract.tfrecord import write_record
from training_src.data.label_map import LabelMap, write_label_map
from training_src.data.records.example import DetectionExample, encode
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
        write_record(stream, encode(to_example(image)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._streams.values():
            stream.close()
        for split, count in self._counts.items():
            for number in range(count):
                whole = self._folder / f"{split}-{number:05d}-of-{count:05d}.tfrecord"
                self._unnamed(split, number).replace(whole)

    def _unnamed(self, split: str, number: int) -> Path:
        """A shard whose name waits for the number of shards."""
        return self._folder / f"{split}-{number:05d}.partial"


def to_example(image: Image) -> DetectionExample:
    """The tf.Example of an image, its boxes as shares of the image's size."""
    labelled, boxes = image.labelled, image.labelled.boxes
    edges = np.array([(box.ymin, box.xmin, box.ymax, box.xmax) for box in boxes], np.float64).reshape(-1, 4)
    scores = [np.nan if box.confidence is None else box.confidence for box in boxes]
    return DetectionExample(
        source_id=labelled.source_id,
        filename=labelled.source_id,
        encoded=image.encoded,
        format=image.format,
        width=image.width,
        height=image.height,
        sha256=hashlib.sha256(image.encoded).hexdigest(),
        boxes=(edges / [image.height, image.width, image.height, image.width]).astype(np.float32),
        labels=np.array([box.label for box in boxes], np.int64),
        names=tuple(box.name for box in boxes),
        difficult=np.array([box.difficult for box in boxes], np.int64),
        truncated=np.array([box.truncated for box in boxes], np.int64),
        crowd=np.array([box.crowd for box in boxes], np.int64),
        confidence=None if all(map(np.isnan, scores)) else np.array(scores, np.float32),
        group=labelled.group,
    )
