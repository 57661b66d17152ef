# SPDX-License-Identifier: Apache-2.0
"""A single data set in a folder: which layout it has, and reading it so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from heapq import nsmallest
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

from training_src.data.dataset import Dataset, Entry, Fault
from training_src.data.formats import (
    bbox_label_tool,
    coco,
    ground_truth,
    mxnet_builtin,
    pascal_voc,
    sagemaker_builtin,
    tables,
    tfrecord,
    yolo,
)
from training_src.data.formats.attributes_table import with_table
from training_src.data.formats.data_folder import DataFolder, folders_in, named_like
from training_src.data.formats.fields import AnnotationError, shown
from training_src.data.formats.foreign import no_folder, recognised_by_name
from training_src.data.formats.left_out import ReadImages, left_out
from training_src.data.label_map import LabelMap, parse_label_map
from training_src.data.splits import given_split
from training_src.errors import DataError

# How many faults are named, of how many, where nothing else can be said about a data set.
_SHOWN, _LOOKED_AT = 8, 1000
# Where tutorials and tools keep a label map, and what they call it: label_map, labelmap, label-map.
_OF_MAPS = frozenset(("metadata", "annotations", "data", "training"))
_LABEL_MAP = re.compile(r"label[-_ ]?map")
# How many folders down a data set is looked for: VOCdevkit/VOC2012 in the folder of an archive's name.
_DEEPEST = 3


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
    mxnet_builtin,
    coco,
    ground_truth,
    pascal_voc,
    bbox_label_tool,
    yolo,
    tables,
    tfrecord,
)

_LAYOUTS = (
    "Pascal VOC (JPEGImages, Annotations, ImageSets), SageMaker's built-in layout (images, annotations.json), "
    "COCO (annotations/instances_*.json), Ground Truth (*.manifest), YOLO (data.yaml, images, labels), "
    "BBox-Label-Tool (Images, Labels), SageMaker's older built-in layout (train, train_annotation), "
    "CSV (filename, class, xmin, ...) and TFRecord (*.record, *.tfrecord)"
)


def read_folder(folder: Path, label_map: LabelMap | None = None, format: str | None = None) -> Dataset:  # noqa: A002
    """Read a folder in the layout that it has, or that is forced.

    Raises:
        DataError: The folder is missing, has no supported layout, or cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"{no_folder(folder)}.")
    try:
        fitting = [layout for layout in FORMATS if format == layout.NAME or (not format and layout.recognise(folder))]
        if not fitting:
            return _read_within(folder, label_map)
        dataset = fitting[0].read(folder, label_map or _own_label_map(folder))
    except OSError as error:
        raise DataError(f"{folder.name} cannot be read: {error}.") from None
    dataset = with_table(dataset, folder)
    dataset = replace(dataset, entries=_guarded(dataset, folder))
    _refuse_empty(dataset, folder)
    dataset = replace(dataset, notices=(*dataset.notices, *_nearly_alike(dataset.label_map)))
    if len(fitting) == 1:
        return dataset
    ignored = ", ".join(layout.NAME for layout in fitting[1:])
    notice = (
        f"Read as {dataset.format}; the folder also holds files of the layout {ignored}, which were not read "
        "(--format chooses)."
    )
    return replace(dataset, notices=(notice, *dataset.notices))


def _nearly_alike(label_map: LabelMap) -> Iterator[str]:
    """Classes that are one class to whoever labelled, and two to a detector."""
    known: dict[str, str] = {}
    for name in label_map.names.values():
        plain = " ".join(re.split(r"[\s_-]+", name.casefold())).strip()
        if (other := known.setdefault(plain, name)) != name:
            yield (
                f'The classes "{other}" and "{name}" differ in capitals or blanks only; if they are one, rename one by '
                "a sources.yaml."
            )


def _read_within(folder: Path, label_map: LabelMap | None) -> Dataset:
    """The one data set that a folder holds further down, as archives often unpack.

    Raises:
        DataError: There is none, or there are several; what there is instead is named, with the way out.
    """
    found = list(_candidates(folder, _DEEPEST))
    if len(found) == 1:
        dataset = read_folder(found[0], label_map)
        within = found[0].relative_to(folder).as_posix()
        return replace(dataset, notices=(f"Read {within}/, which is the only data set in there.", *dataset.notices))
    if found:
        listed = ", ".join(f"{place.relative_to(folder).as_posix()}/" for place in found[:5])
        raise DataError(
            f"{folder.name} holds several data sets: {listed}; name one of them, or merge them by a "
            "sources.yaml that lists them (docs/data.md)."
        )
    seen = ", ".join(nsmallest(8, (entry.name for entry in folder.iterdir()))) or "nothing"
    known = recognised_by_name(folder)
    advice = f"{known}. Supported" if known else "supported"
    raise DataError(f"{folder.name} has no supported layout (it holds: {seen}); {advice} are {_LAYOUTS}.")


def _candidates(folder: Path, depth: int) -> Iterator[Path]:
    """The folders below that have a layout; none within another."""
    for child in folders_in(folder):
        if child.is_symlink() or child.name.startswith("."):
            continue
        if any(layout.recognise(child) for layout in FORMATS):
            yield child
        elif depth > 1:
            yield from _candidates(child, depth - 1)


def _own_label_map(folder: Path) -> LabelMap | None:
    """The label map that lies in a data set: beside its parts, or in a folder of records further down."""
    inner = (child for child in folders_in(folder) if given_split(child.name) or child.name.lower() in _OF_MAPS)
    beside_records = (shard.parent for shard, _ in tfrecord.shards_of(folder))
    looked_in: set[Path] = set()
    for place in chain([folder], inner, beside_records):
        if place in looked_in:
            continue
        looked_in.add(place)
        if files := [file for file in named_like(place, "*.pbtxt") if _LABEL_MAP.search(file.name.lower())]:
            found = [label_map_within(DataFolder(folder), file) for file in files]
            for file, other in zip(files, found, strict=True):
                if other != found[0]:
                    raise DataError(
                        f"{folder.name} holds {files[0].name} and {file.name}, which number the classes differently; "
                        "remove the one that is not the data set's, or name one by --label-map."
                    )
            return found[0]
    return None


def label_map_within(folder: DataFolder, file: Path) -> LabelMap:
    """A label map that lies in a data set.

    Raises:
        DataError: It may not be opened, or is no label map.
    """
    try:
        return parse_label_map(folder.read(file), file.name)
    except AnnotationError as error:
        raise DataError(f"{folder.name(file)} {error}.") from None


def _guarded(dataset: Dataset, folder: Path) -> Callable[[], Iterator[Entry]]:
    """The same entries, and behind them what of the folder they left out.

    A disk's failure in their midst becomes an error of ours.
    """

    def guarded() -> Iterator[Entry]:
        read = ReadImages()
        faults = 0
        try:
            for entry in dataset.entries():
                if isinstance(entry, Fault):
                    faults += entry.severity != "notice"
                else:
                    read.add(entry.encoded.file)
                yield entry
            yield from _never_read(DataFolder(folder))
            if not dataset.tells_left_out:
                yield from left_out(DataFolder(folder), read, faults, _has_layout)
        except OSError as error:
            raise DataError(f"{folder.name} cannot be read: {error}.") from None

    return guarded


def _has_layout(folder: Path) -> bool:
    """Whether a folder could be read alone, or would be if it said more."""
    try:
        return any(layout.recognise(folder) for layout in FORMATS)
    except DataError:
        return True


def _never_read(folder: DataFolder) -> Iterator[Fault]:
    """What nobody reads, and nobody would miss: folders that are links out of the data set, pipes, broken links."""
    for number, (place, what) in enumerate(folder.never_read(folder.path)):
        named = shown(folder.name(place), 200)
        if place.is_dir():
            message = f"{named}/ is {what}, which is not read; copy the folder in."
            yield Fault(named, None, "path", message)
        elif number < _SHOWN:
            yield Fault(named, None, "path", f"{named} is {what}, which is not read; remove it.", "warning")


def _refuse_empty(dataset: Dataset, folder: Path) -> None:
    """Without a class there is nothing to learn; then the faults say why, if there are any."""
    if dataset.label_map.names and next(dataset.entries(), None) is not None:
        return
    faults = list(islice((entry for entry in dataset.entries() if isinstance(entry, Fault)), _LOOKED_AT))
    if wrong := [fault for fault in faults if fault.severity != "notice"]:
        raise DataError(*_summed_up(wrong, folder.name))
    if all(isinstance(entry, Fault) for entry in dataset.entries()):
        told = [fault.message for fault in faults]
        rest = f"holds no labelled image in the layout {dataset.format}; --format chooses another"
        raise DataError(f"{folder.name} {rest}.", *told)
    raise DataError(f"{folder.name}: no annotation holds an object; there is nothing to learn.")


def _summed_up(faults: list[Fault], name: str) -> list[str]:
    """The first of many faults of a data set of which nothing could be read, after what they come to."""
    messages = [fault.message for fault in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        messages.append(f"... and {'at least ' * (len(faults) >= _LOOKED_AT)}{len(faults) - _SHOWN} more.")
    if len(faults) > 1 and all(fault.check == "missing_image" for fault in faults):
        rest = "copy them in, or name the folder that holds both"
        messages.insert(0, f"{name} holds annotations, but none of their images was found; {rest}.")
    return messages
