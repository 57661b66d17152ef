# SPDX-License-Identifier: Apache-2.0
"""Writing a prepared split as TFRecord shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from training_src.data.check import CheckedImage
from training_src.data.dataset import Box
from training_src.data.example import DetectionExample, encode
from training_src.data.tfrecord import write_record

SHARDS = 4


def write_shards(
    images: Sequence[CheckedImage], folder: Path, split: str, *, written: Callable[[], None] | None = None
) -> list[Path]:
    """Write `<split>-00000-of-00004.tfrecord` and so on beside, and rename them once all are whole.

    Images are dealt to the shards in turn, so that each shard is a sample of the split. Only one image is in memory.

    Args:
        images: in the order of their source ids.
        folder: the split's own.
        split: its name.
        written: called after each image.

    Returns:
        The shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = max(1, min(SHARDS, len(images)))
    shards = [folder / f"{split}-{number:05d}-of-{count:05d}.tfrecord" for number in range(count)]
    partial = [shard.with_name(shard.name + ".partial") for shard in shards]
    try:
        with ExitStack() as stack:
            streams = [stack.enter_context(file.open("wb")) for file in partial]
            for position, image in enumerate(images):
                write_record(streams[position % count], encode(to_example(image)))
                if written:
                    written()
        for file, shard in zip(partial, shards, strict=True):
            file.replace(shard)
    finally:
        for file in partial:
            file.unlink(missing_ok=True)
    return shards


def to_example(image: CheckedImage) -> DetectionExample:
    """The tf.Example of an image, its boxes as shares of the image's size."""
    labelled = image.labelled
    size = np.array([labelled.height, labelled.width, labelled.height, labelled.width], np.float64)
    edges = np.array([_edges(box) for box in labelled.boxes], np.float64).reshape(-1, 4) / size
    return DetectionExample(
        source_id=labelled.source_id,
        filename=labelled.source_id,
        encoded=labelled.encoded.load(),
        format=image.format,
        width=labelled.width,
        height=labelled.height,
        sha256=image.sha256,
        boxes=edges.astype(np.float32),
        labels=np.array([box.label for box in labelled.boxes], np.int64),
        names=tuple(box.name for box in labelled.boxes),
        difficult=np.array([box.difficult for box in labelled.boxes], np.int64),
        truncated=np.array([box.truncated for box in labelled.boxes], np.int64),
        crowd=np.array([box.crowd for box in labelled.boxes], np.int64),
    )


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.ymin, box.xmin, box.ymax, box.xmax
