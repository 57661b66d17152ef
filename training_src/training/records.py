# SPDX-License-Identifier: Apache-2.0
"""A prepared split's images in any order.

A resumed training must go on with the very images that it would have seen, so images are addressed by number: shards
by name, records by place.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from containers.contract.tfrecord import read_records
from training_src.data.images import BrokenImageError, decode_upright
from training_src.data.records.example import DetectionExample, decode
from training_src.errors import DataError


class Records(Sequence[DetectionExample]):
    """All labelled images of a folder's `*.tfrecord` shards.

    Args:
        folder: Of the shards.
        cache_bytes: Decoded images up to this size are kept, so that each is decoded once.

    Raises:
        DataError: If there is none, or a shard is damaged.
    """

    def __init__(self, folder: Path, cache_bytes: int = 1 << 30) -> None:
        self._spans = [span for shard in sorted(folder.glob("*.tfrecord")) for span, _ in read_records(shard)]
        if not self._spans:
            raise DataError(
                f"{folder}: there is no labelled image in it (in *.tfrecord files, as `mapgate data check DATA "
                "--output FOLDER` writes them); give the split more images."
            )
        self._kept: dict[int, tuple[DetectionExample, NDArray[np.uint8]]] = {}
        self._room = cache_bytes
        self._scratch = threading.local()

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> DetectionExample:  # type: ignore[override]
        return decode(self._spans[index].read())

    def decoded(self, index: int) -> tuple[DetectionExample, NDArray[np.uint8]]:
        """An image with its `pixels`, not to be written to, and only good until the same thread asks again.

        Raises:
            DataError: If it can no longer be decoded.
        """
        if index in self._kept:
            return self._kept[index]
        example = self[index]
        size = example.height * example.width * 3
        if 0 < size <= self._room:
            image = pixels(example)
            self._room -= image.nbytes
            self._kept[index] = replace(example, encoded=b""), image
            return self._kept[index]
        # A fresh array costs half as much time as the decoding.
        if getattr(self._scratch, "buffer", np.empty(0)).nbytes < size:
            self._scratch.buffer = np.empty(size, np.uint8)
        return example, pixels(example, getattr(self._scratch, "buffer", None))


def pixels(example: DetectionExample, buffer: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """The decoded image, upright, `(height, width, 3)`, RGB; see `decode_upright`.

    Args:
        example: Its encoded image.
        buffer: Memory that a JPEG may be decoded into; the result is then only good until it is used again.

    Raises:
        DataError: If it can no longer be decoded.
    """
    try:
        return decode_upright(example.encoded, buffer)
    except BrokenImageError as error:
        raise DataError(f"{example.source_id} {error}; prepare the data set anew.") from None
