# SPDX-License-Identifier: Apache-2.0
"""JSON with `images`, `annotations` and `categories`: what COCO and SageMaker's built-in layout have in common.

A file is read once, an element at a time, into rows by image; beyond some hundred thousand they lie on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import numpy as np

from training_src.data.dataset import Box, Dataset, Encoded, Entry, Fault, LabelledImage
from training_src.data.formats.annotation_columns import PLAIN_ANNOTATIONS, annotation_columns
from training_src.data.formats.classes import SourceClasses, made_names
from training_src.data.formats.data_folder import DataFolder
from training_src.data.formats.fields import (
    AnnotationError,
    Edges,
    class_name,
    confidence,
    flag,
    four_numbers,
    identifier,
    shown,
    size,
)
from training_src.data.formats.json_stream import chunks
from training_src.data.label_map import LabelMap, make_label_map
from training_src.data.packed_boxes import CROWD, DIFFICULT, PACKED, TRUNCATED, PackedBoxes
from training_src.data.spill import Key, Spill
from training_src.errors import DataError


@dataclass(frozen=True)
class Convention:
    """What the two layouts do differently.

    Attributes:
        format: The layout's name.
        edges: Makes xmin, ymin, xmax, ymax of a `bbox`.
        from_zero: Whether category ids count from 0; None: only where one is 0.
    """

    format: str
    edges: Callable[[Edges], Edges]
    from_zero: bool | None


@dataclass(frozen=True)
class InstancesFile:
    """A JSON file, the folders in which its images may lie, best first, and its split."""

    file: Path
    places: tuple[Path, ...]
    split: str | None


def read_instances(
    folder: DataFolder, files: Sequence[InstancesFile], convention: Convention, label_map: LabelMap | None
) -> Dataset:
    """Read the files; names come from the label map, the files' `categories`, or are `class_<id>`.

    Raises:
        DataError: A file is no such JSON, or holds nothing.
    """
    contents = [_read(folder, source, convention) for source in files]
    if label_map is None:
        names = [made_names(content.names, sorted(content.used), content.shift) for content in contents]
        label_map = make_label_map(names, folder.path.name)
    classes = [
        SourceClasses(content.names, content.shift, label_map, used=lambda content=content: content.used)  # type: ignore[misc]
        for content in contents
    ]

    def entries() -> Iterator[Entry]:
        for content, known in zip(contents, classes, strict=True):
            yield from _entries(folder, content, known)

    notices = [
        (*content.notices, *known.notices(content.place)) for content, known in zip(contents, classes, strict=True)
    ]
    return Dataset(convention.format, label_map, entries, tuple(notice for found in notices for notice in found))


# What stands before an annotation's number in messages.
_ANNOTATION = "annotation"
# What elements of a list are read as where all of a chunk are so.
_PLAIN = {"annotations": PLAIN_ANNOTATIONS}
# Images whose boxes get their labels together.
_BLOCK = 256
# Greater ids do not fit into packed boxes.
_SMALL = 1 << 31

# number, category id, edges, crowd, difficult, truncated, confidence
_Row = tuple[int, Any, Edges, bool, bool, bool, float | None]
# Or, of annotations that are as nearly all are: `PACKED` boxes, with the category ids as labels.
# number, check, rest of the sentence
_FaultyRow = tuple[int, str, str]


@dataclass
class _Content:
    source: InstancesFile
    place: str
    convention: Convention
    names: dict[int, str] = field(default_factory=dict)
    supercategories: set[str] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    images: Spill = field(default_factory=Spill)
    boxes: Spill = field(default_factory=Spill)
    faults: Spill = field(default_factory=Spill)
    notices: list[str] = field(default_factory=list)

    @property
    def shift(self) -> int:
        """What makes a label id of a category id."""
        if self.convention.from_zero is None:
            return int(0 in self.names or (not self.names and 0 in self.used))
        return int(self.convention.from_zero)


def _read(folder: DataFolder, source: InstancesFile, convention: Convention) -> _Content:
    content = _Content(source, folder.name(source.file), convention)
    if not folder.holds(str(source.file)):
        raise DataError(f"{content.place} is a link to a place outside the data set; copy the file in.")
    if not source.file.stat().st_size:
        raise DataError(f'{content.place} is empty; it must hold {{"images": [...], "annotations": [...]}}.')
    counts = dict.fromkeys(_SECTIONS, 0)
    try:
        for key, elements in chunks(source.file, _PLAIN):
            if section := _SECTIONS.get(key):
                section(content, counts[key], elements)
                counts[key] += len(elements)
    except AnnotationError as error:
        raise DataError(f"{content.place} {error}.") from None
    except ValueError as error:
        raise DataError(f"{content.place} is no JSON object: {error}; export it again.") from None
    if not counts["images"]:
        raise DataError(f'{content.place} is empty: it has no "images"; export it again, with at least one of them.')
    _leave_out_placeholder(content)
    return content


def _add_images(content: _Content, first: int, elements: Sequence[Any]) -> None:
    for number, element in enumerate(elements, first):
        _add_image(content, number, element)


def _add_image(content: _Content, number: int, element: Any) -> None:
    try:
        if not isinstance(element, dict) or "id" not in element or not isinstance(element.get("file_name"), str):
            raise AnnotationError("annotation", "has no id or file_name")
        key = identifier(element["id"])
        sizes = size(element.get("width"), element.get("height"))
        group = element.get("group") or element.get("video_id") or ""
        content.images.add(key, (number, element["file_name"], sizes, str(group)[:200]))
    except AnnotationError as error:
        content.faults.add(f"image {number}", (error.check, str(error)))


def _add_annotations(content: _Content, first: int, elements: Sequence[Any]) -> None:
    """Those that are as nearly all are, together; where one of them is not, one by one."""
    columns = annotation_columns(elements, content.convention.edges)
    if columns is None:
        for number, element in enumerate(elements, first):
            _add_annotation(content, number, element)
        return
    keys, table = columns
    table["number"] = np.arange(first, first + len(table))
    content.used.update(np.unique(table["label"]).tolist())
    order = np.argsort(keys, kind="stable")
    keys, data = keys[order], table[order].tobytes()
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    ends = np.append(starts[1:], len(keys))
    for run in np.argsort(order[starts]).tolist():  # the images in the order in which they came
        start, end = int(starts[run]), int(ends[run])
        part = data[start * PACKED.itemsize : end * PACKED.itemsize]
        content.boxes.add(int(keys[start]), part, end - start)


def _add_annotation(content: _Content, number: int, element: Any) -> None:
    try:
        if not isinstance(element, dict) or not {"image_id", "bbox", "category_id"} <= element.keys():
            raise AnnotationError("annotation", "lacks image_id, bbox or category_id")
        key = identifier(element["image_id"])
    except AnnotationError as error:
        content.faults.add(f"annotation {number}", (error.check, str(error)))
        return
    row: _Row | _FaultyRow
    try:
        category = identifier(element["category_id"])
        edges = content.convention.edges(four_numbers(element["bbox"]))
        difficult = flag(element.get("difficult")) or flag(element.get("ignore"))
        flags = flag(element.get("iscrowd")), difficult, flag(element.get("truncated"))
        row = (number, category, edges, *flags, confidence(element.get("score")))
        if isinstance(category, int):
            content.used.add(category)
    except AnnotationError as error:
        row = (number, error.check, str(error))
    content.boxes.add(key, row)


def _add_categories(content: _Content, first: int, elements: Sequence[Any]) -> None:
    for number, element in enumerate(elements, first):
        _add_category(content, number, element)


def _add_category(content: _Content, number: int, element: Any) -> None:
    if not isinstance(element, dict) or not isinstance(element.get("id"), int):
        raise AnnotationError("class", f"has the category {number} without a whole number as id")
    name = class_name(element.get("name"))
    if content.names.setdefault(element["id"], name) != name:
        raise AnnotationError("class", f"has two categories with the id {shown(element['id'])}; give each its own")
    content.supercategories.add(str(element.get("supercategory")))


_SECTIONS: Mapping[str, Callable[[_Content, int, Sequence[Any]], None]] = {
    "images": _add_images,
    "annotations": _add_annotations,
    "categories": _add_categories,
}


def _leave_out_placeholder(content: _Content) -> None:
    """Roboflow puts the project's name at id 0, as everything's supercategory; no box has it."""
    name = content.names.get(0)
    if content.convention.from_zero is None and 0 not in content.used and name in content.supercategories:
        del content.names[0]
        content.notices.append(f'{content.place}: the category 0 "{name}" has no box and is left out.')


def _entries(folder: DataFolder, content: _Content, classes: SourceClasses) -> Iterator[Entry]:
    images = content.images.items()
    labels = _Labels(classes, content.used)
    while block := list(islice(images, _BLOCK)):
        found = [content.boxes.rows(key) for key, _ in block]
        for (key, image), rows, packed in zip(block, found, labels.packed(found), strict=True):
            yield from _image(folder, content, classes, key, image, rows, packed)
    yield from _homeless(content)


def _image(
    folder: DataFolder,
    content: _Content,
    classes: SourceClasses,
    key: Key,
    listed: tuple[int, str, tuple[int, int], str],
    rows: Sequence[Any],
    packed: PackedBoxes | None,
) -> Iterator[Entry]:
    """An image as it is listed, with its rows, and their boxes where all of them have known classes."""
    number, name, sizes, group = listed
    first = content.images.rows(key)[0]
    try:
        if first[0] != number:
            other = f'the id {shown(key)}, which "{shown(first[1])}" has too'
            raise AnnotationError("duplicate", f'("{shown(name)}") has {other}')
        file = folder.image_path(name, content.source.places)
    except AnnotationError as error:
        yield Fault(content.place, None, error.check, f"{content.place}: image {number} {error}.")
        return
    image = folder.name_of(file)
    boxes: Sequence[Box]
    if packed is not None:
        boxes = packed
    else:
        judged = list(_boxes(content, _unpacked(rows), f' (of "{shown(name)}")', classes, image))
        yield from (fault for fault in judged if isinstance(fault, Fault))
        boxes = tuple(box for box in judged if isinstance(box, Box))
    yield LabelledImage(
        source_id=image,
        image=image,
        annotation=content.place,
        encoded=Encoded(file),
        boxes=boxes,
        width=sizes[0],
        height=sizes[1],
        given_split=content.source.split,
        group=group,
    )


class _Labels:
    """Packed boxes with label-map ids instead of a file's category ids."""

    def __init__(self, classes: SourceClasses, used: Collection[int]) -> None:
        known: dict[int, tuple[int, str]] = {}
        for category in used:
            with suppress(AnnotationError):
                known[category] = classes.label(category)
        small = {category: found for category, found in known.items() if abs(category) < _SMALL}
        self._categories = np.array(sorted(small), np.int64)
        self._labels = np.array([small[category][0] for category in sorted(small)], np.int64)
        self._names = dict(small.values())

    def packed(self, found: Sequence[Sequence[Any]]) -> list[PackedBoxes | None]:
        """The boxes of each image's rows; None where a row or a class needs a closer look."""
        whole = [all(type(row) is bytes for row in rows) for rows in found]
        data = [b"".join(rows) if plain else b"" for rows, plain in zip(found, whole, strict=True)]
        if not len(self._categories):
            return [None if rows else PackedBoxes(b"", self._names, _ANNOTATION) for rows in found]
        table = np.frombuffer(bytearray(b"".join(data)), PACKED)
        places = np.minimum(np.searchsorted(self._categories, table["label"]), len(self._categories) - 1)
        unknown = self._categories[places] != table["label"]
        table["label"] = self._labels[places]
        joined = table.tobytes()
        ends = list(accumulate(map(len, data)))
        strange = set(np.searchsorted(ends, np.flatnonzero(unknown) * PACKED.itemsize, side="right").tolist())
        return [
            PackedBoxes(joined[end - len(part) : end], self._names, _ANNOTATION)
            if plain and at not in strange
            else None
            for at, (part, end, plain) in enumerate(zip(data, ends, whole, strict=True))
        ]


def _unpacked(rows: Iterable[bytes | _Row | _FaultyRow]) -> Iterator[_Row | _FaultyRow]:
    for row in rows:
        if not isinstance(row, bytes):
            yield row
            continue
        for *edges, score, number, category, flags in np.frombuffer(row, PACKED).tolist():
            crowd, difficult, truncated = (bool(flags & flag) for flag in (CROWD, DIFFICULT, TRUNCATED))
            confidence_ = None if score != score else score
            yield number, category, tuple(edges), crowd, difficult, truncated, confidence_


def _boxes(
    content: _Content, rows: Iterable[_Row | _FaultyRow], of: str, classes: SourceClasses, image: str
) -> Iterator[Box | Fault]:
    for row in rows:
        where = f"{_ANNOTATION} {row[0]}"
        try:
            if len(row) == 3:
                raise AnnotationError(row[1], row[2])
            _, category, edges, crowd, difficult, truncated, score = row
            label, name = classes.label(category)
            yield Box(*edges, label, name, where, difficult, truncated, crowd, score)
        except AnnotationError as error:
            sentence = f"{content.place}: {where}{of} {error}."
            yield Fault(content.place, where, error.check, sentence, image=image)


def _homeless(content: _Content) -> Iterator[Fault]:
    """What stands in the file but belongs to no image."""
    for where, (check, rest) in content.faults.items():
        box = None if str(where).startswith("image") else str(where)
        yield Fault(content.place, box, check, f"{content.place}: {where} {rest}.")
    for key, found in content.boxes.items():
        if key in content.images:
            continue
        for row in _unpacked([found]):
            where, rest = f"annotation {row[0]}", f"belongs to image {shown(key)}, which is not listed"
            yield Fault(content.place, where, "annotation", f"{content.place}: {where} {rest}.")
