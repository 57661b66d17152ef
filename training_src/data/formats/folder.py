# SPDX-License-Identifier: Apache-2.0
"""A single data set in a folder: which layout it has, and reading it so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from training_src.data.dataset import Dataset, Entry, Fault
from training_src.data.formats import (
    bbox_label_tool,
    coco,
    ground_truth,
    pascal_voc,
    sagemaker_builtin,
    tfrecord,
    yolo,
)
from training_src.data.formats.attributes_table import with_table
from training_src.data.label_map import LabelMap, read_label_map
from training_src.data.splits import given_split
from training_src.errors import DataError

# How many faults are named where nothing else can be said about a data set.
_SHOWN = 50


class Format(Protocol):
    """What a layout's module offers."""

    NAME: str

    def recognise(self, folder: Path) -> bool:
        """Whether a folder looks like this layout; reads names, and a file's first lines at most."""
        ...

    def read(self, folder: Path, label_map: LabelMap | None) -> Dataset:
        """Read all annotations, no pixels. What is wrong in them becomes a fault among the entries.

        Raises:
            DataError: Nothing can be read at all.
        """
        ...


# The first that recognises a folder reads it, so the surest signs stand first.
FORMATS: tuple[Format, ...] = (
    sagemaker_builtin,
    coco,
    ground_truth,
    pascal_voc,
    bbox_label_tool,
    yolo,
    tfrecord,
)

_LAYOUTS = (
    "Pascal VOC (JPEGImages, Annotations, ImageSets), SageMaker's built-in layout (images, annotations.json), "
    "COCO (annotations/instances_*.json), Ground Truth (*.manifest), YOLO (data.yaml, images, labels), "
    "BBox-Label-Tool (Images, Labels) and TFRecord (*.record, *.tfrecord)"
)


def read_folder(folder: Path, label_map: LabelMap | None = None, format: str | None = None) -> Dataset:  # noqa: A002
    """Read a folder in the layout that it has, or that is forced.

    Raises:
        DataError: The folder is missing, has no supported layout, or cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name the folder that holds the images and their annotations.")
    try:
        fitting = [layout for layout in FORMATS if format == layout.NAME or (not format and layout.recognise(folder))]
        if not fitting:
            seen = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
            raise DataError(f"{folder.name} has no supported layout (it holds: {seen}); supported are {_LAYOUTS}.")
        dataset = fitting[0].read(folder, label_map or _own_label_map(folder))
    except OSError as error:
        raise DataError(f"{folder.name} cannot be read: {error}.") from None
    dataset = with_table(dataset, folder)
    dataset = replace(dataset, entries=_guarded(dataset.entries, folder))
    _refuse_empty(dataset, folder)
    if len(fitting) == 1:
        return dataset
    ignored = ", ".join(layout.NAME for layout in fitting[1:])
    notice = (
        f"Read as {dataset.format}; the folder also holds files of the layout {ignored}, which were not read "
        "(--format chooses)."
    )
    return replace(dataset, notices=(notice, *dataset.notices))


def _own_label_map(folder: Path) -> LabelMap | None:
    inner = (child for child in sorted(folder.iterdir()) if given_split(child.name) or child.name == "metadata")
    for place in (folder, *inner):
        if found := sorted(place.glob("*label_map*.pbtxt")):
            return read_label_map(found[0])
    return None


def _guarded(entries: Callable[[], Iterator[Entry]], folder: Path) -> Callable[[], Iterator[Entry]]:
    """The same entries; a disk's failure in their midst becomes an error of ours."""

    def guarded() -> Iterator[Entry]:
        try:
            yield from entries()
        except OSError as error:
            raise DataError(f"{folder.name} cannot be read: {error}.") from None

    return guarded


def _refuse_empty(dataset: Dataset, folder: Path) -> None:
    """Without a class there is nothing to learn; then the faults say why, if there are any."""
    if dataset.label_map.names and next(dataset.entries(), None) is not None:
        return
    faults = (entry for entry in dataset.entries() if isinstance(entry, Fault))
    if sentences := [fault.message for fault in islice(faults, _SHOWN)]:
        raise DataError(*sentences)
    if next(dataset.entries(), None) is None:
        raise DataError(f"{folder.name} holds no labelled image in the layout {dataset.format}.")
    raise DataError(f"{folder.name}: no annotation holds an object; there is nothing to learn.")
