# SPDX-License-Identifier: Apache-2.0
"""The layouts that a data set can come in. Each module recognises its own and reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from training_src.data.dataset import Dataset
from training_src.data.formats import pascal_voc, sagemaker_builtin, tfrecord
from training_src.data.label_map import LabelMap, read_label_map
from training_src.data.splits import given_split
from training_src.errors import DataError


class Format(Protocol):
    """What a layout's module offers."""

    NAME: str

    def recognise(self, folder: Path) -> bool:
        """Whether a folder looks like this layout; reads no more than names."""
        ...

    def read(self, folder: Path, label_map: LabelMap | None) -> Dataset:
        """Read all annotations, no pixels. What is wrong in them becomes a fault of the data set.

        Raises:
            DataError: nothing can be read at all.
        """
        ...


FORMATS: tuple[Format, ...] = (sagemaker_builtin, pascal_voc, tfrecord)

_LAYOUTS = (
    "Pascal VOC (JPEGImages, Annotations, ImageSets), SageMaker's built-in layout (images, annotations.json) "
    "and TFRecord (*.record, *.tfrecord)"
)


def read_dataset(folder: Path, label_map: LabelMap | None = None) -> Dataset:
    """Read a folder in whichever supported layout it has.

    Args:
        folder: of the data set.
        label_map: the user's; without it the folder's own `label_map.pbtxt`, if any.

    Raises:
        DataError: the folder is missing, has no supported layout, or cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name the folder that holds the images and their annotations.")
    fitting = [layout for layout in FORMATS if layout.recognise(folder)]
    if not fitting:
        seen = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise DataError(f"{folder.name} has no supported layout (it holds: {seen}); supported are {_LAYOUTS}.")
    chosen = fitting[0]
    dataset = chosen.read(folder, label_map or _own_label_map(folder))
    if next(dataset.entries(), None) is None:
        raise DataError(f"{folder.name} holds no labelled image in the layout {chosen.NAME}.")
    if len(fitting) == 1:
        return dataset
    ignored = ", ".join(layout.NAME for layout in fitting[1:])
    notice = f"Read as {chosen.NAME}; the folder also holds files of the layout {ignored}, which were not read."
    return replace(dataset, notices=(notice, *dataset.notices))


def _own_label_map(folder: Path) -> LabelMap | None:
    inner = (child for child in sorted(folder.iterdir()) if given_split(child.name) or child.name == "metadata")
    for place in (folder, *inner):
        if found := sorted(place.glob("*label_map*.pbtxt")):
            return read_label_map(found[0])
    return None
