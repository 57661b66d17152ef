# SPDX-License-Identifier: Apache-2.0
"""The layouts that a data set can be written in. Each module's writer takes an image after the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from training_src.data.label_map import LabelMap
from training_src.data.writers import coco, tfrecord
from training_src.data.writers.image import Image

__all__ = ["WRITERS", "Image", "Writer"]


class Writer(Protocol):
    """What a layout's module offers: a context, in which images are written and at whose end the folder is whole."""

    def __init__(self, folder: Path, label_map: LabelMap) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, image: Image) -> None:
        """Add an image to its split."""
        ...


WRITERS: Mapping[str, type[Writer]] = {"coco": coco.CocoWriter, "tfrecord": tfrecord.TFRecordWriter}
