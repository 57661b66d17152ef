# SPDX-License-Identifier: Apache-2.0
"""A prepared split's images in any order.

A resumed training must go on with the very images that it would have seen, so images are addressed by number: shards
by name, records by place.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from numpy.typing import NDArray

from training_src.data.example import DetectionExample, decode
from training_src.data.tfrecord import read_records
from training_src.errors import DataError


class Records(Sequence[DetectionExample]):
    """All labelled images of a folder's `*.tfrecord` shards.

    Raises:
        DataError: If there is none, or a shard is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._spans = [span for shard in sorted(folder.glob("*.tfrecord")) for span, _ in read_records(shard)]
        if not self._spans:
            raise DataError(f"{folder}: there is no labelled image in it; give the split more images.")

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> DetectionExample:  # type: ignore[override]
        return decode(self._spans[index].read())


def pixels(example: DetectionExample, buffer: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """The decoded image, `(height, width, 3)`, RGB; a JPEG as TensorFlow's INTEGER_ACCURATE decodes it.

    Args:
        example: Its encoded image.
        buffer: Memory that a JPEG may be decoded into; the result is then only good until it is used again.

    Raises:
        DataError: If it can no longer be decoded.
    """
    if simplejpeg.is_jpeg(example.encoded):
        height, width, *_ = simplejpeg.decode_jpeg_header(example.encoded)
        room = buffer if buffer is not None and buffer.nbytes >= height * width * 3 else None
        return np.asarray(
            simplejpeg.decode_jpeg(example.encoded, "RGB", fastdct=False, fastupsample=False, buffer=room)
        )
    image = cv2.imdecode(np.frombuffer(example.encoded, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise DataError(f"{example.source_id}: neither a readable JPEG nor PNG; prepare the data set anew.")
    return np.ascontiguousarray(image[:, :, ::-1], np.uint8)
