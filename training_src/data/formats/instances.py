# SPDX-License-Identifier: Apache-2.0
"""JSON with `images`, `annotations` and `categories`: what COCO and SageMaker's built-in layout have in common.

A file is read once, an element at a time, into rows by image; beyond some hundred thousand they lie on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from training_src.data.dataset import Box, Dataset, Entry, Fault, labelled_file
from training_src.data.formats.classes import SourceClasses, made_names
from training_src.data.formats.data_folder import DataFolder
from training_src.data.formats.fields import (
    AnnotationError,
    Edges,
    area,
    attributes,
    class_name,
    confidence,
    flag,
    identifier,
    shown,
    size,
)
from training_src.data.formats.image_address import image_path
from training_src.data.formats.json_stream import elements
from training_src.data.label_map import LabelMap, make_label_map
from training_src.data.spill import Key, Spill
from training_src.errors import DataError

# So many annotations without an image are named one by one; more are a kind of fault, which is named once.
_FEW_LOST = 20


@dataclass(frozen=True)
class Convention:
    """What the two layouts do differently.

    Attributes:
        format: The layout's name.
        edges: Makes xmin, ymin, xmax, ymax of an annotation.
        from_zero: Whether category ids count from 0; None: only where one is 0.
    """

    format: str
    edges: Callable[[Mapping[str, Any]], Edges]
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


# number, category id, edges, crowd, difficult, truncated, confidence, area
_Row = tuple[int, Any, Edges, bool, bool, bool, float | None, float | None]
# number, check, rest of the sentence
_FaultyRow = tuple[int, str, str]


@dataclass
class _Content:
    source: InstancesFile
    place: str
    convention: Convention
    names: dict[int, str] = field(default_factory=dict)
    supercategories: set[str] = field(default_factory=set)
    named: dict[str, str] = field(default_factory=dict)
    unnamed: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)
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
    try:
        folder.check(source.file)
    except AnnotationError as error:
        raise DataError(f"{content.place} {error}.") from None
    if not source.file.stat().st_size:
        raise DataError(f'{content.place} is empty; it must hold {{"images": [...], "annotations": [...]}}.')
    counts = dict.fromkeys(_SECTIONS, 0)
    try:
        for key, element in elements(source.file):
            if add := _SECTIONS.get(key):
                add(content, counts[key], element)
                counts[key] += 1
    except AnnotationError as error:
        raise DataError(f"{content.place} {error}.") from None
    except ValueError as error:
        raise DataError(f"{content.place} is no JSON object: {error}; export it again.") from None
    if not counts["images"]:
        raise DataError(f'{content.place} is empty: it has no "images"; export it again, with at least one of them.')
    _number_texts(content)
    _leave_out_placeholder(content)
    return content


def _add_image(content: _Content, number: int, element: Any) -> None:
    try:
        if not isinstance(element, dict) or "id" not in element or not isinstance(element.get("file_name"), str):
            raise AnnotationError("annotation", "has no id or file_name")
        key = identifier(element["id"])
        sizes = size(element.get("width"), element.get("height"))
        group = element.get("group") or element.get("video_id") or ""
        stated = attributes(element.get("attributes"))
        content.images.add(key, (number, element["file_name"], sizes, str(group)[:200], stated))
    except AnnotationError as error:
        content.faults.add(f"image {number}", (error.check, str(error)))


def _add_annotation(content: _Content, number: int, element: Any) -> None:
    try:
        if not isinstance(element, dict) or not {"image_id", "category_id"} <= element.keys():
            raise AnnotationError("annotation", "lacks image_id, bbox or category_id")
        if not {"bbox", "segmentation"} & element.keys():
            raise AnnotationError("annotation", "lacks image_id, bbox or category_id")
        key = identifier(element["image_id"])
    except AnnotationError as error:
        content.faults.add(f"annotation {number}", (error.check, str(error)))
        return
    row: _Row | _FaultyRow
    try:
        category = _category(element["category_id"])
        edges = content.convention.edges(element)
        # "ignore" marks regions that ask for nothing, which is what a crowd does.
        crowd = flag(element.get("iscrowd")) or flag(element.get("ignore"))
        flags = crowd, flag(element.get("difficult")), flag(element.get("truncated"))
        row = (number, category, edges, *flags, confidence(element.get("score")), area(element.get("area"), edges))
        if isinstance(category, int):
            content.used.add(category)
        else:
            content.unnamed.add(class_name(category))
    except AnnotationError as error:
        row = (number, error.check, str(error))
    content.boxes.add(key, row)


def _add_category(content: _Content, number: int, element: Any) -> None:
    if not isinstance(element, dict) or "id" not in element:
        raise AnnotationError("class", f"has the category {number} without an id")
    try:
        category = _category(element["id"])
    except AnnotationError as error:
        raise AnnotationError("class", f"has the category {number}, which {error}") from None
    name = class_name(element.get("name"))
    known: dict[Any, str] = content.names if isinstance(category, int) else content.named
    if known.setdefault(category, name) != name:
        raise AnnotationError("class", f"has two categories with the id {shown(element['id'])}; give each its own")
    content.supercategories.add(str(element.get("supercategory")))


_SECTIONS: Mapping[str, Callable[[_Content, int, Any], None]] = {
    "images": _add_image,
    "annotations": _add_annotation,
    "categories": _add_category,
}


def _category(value: Any) -> int | str:
    """A category's id: some tools write a text, which may be a number all the same."""
    category = identifier(value)
    return int(category) if isinstance(category, str) and category.isdecimal() and len(category) < 10 else category


def _number_texts(content: _Content) -> None:
    """Give categories whose ids are texts numbers behind the others', in the order of their names.

    A text that is a numbered category's name means that one.
    """
    numbers = {name: number for number, name in content.names.items()}
    for text in content.unnamed & numbers.keys() - content.named.keys():
        content.numbers[text] = numbers[text]
        content.used.add(numbers[text])
        content.unnamed.remove(text)
    texts = {**{text: text for text in content.unnamed}, **content.named}
    first = max(content.names, default=0) + 1
    for number, text in enumerate(sorted(texts, key=lambda text: (texts[text], text)), start=first):
        content.numbers[text] = number
        content.names[number] = texts[text]
        if text in content.unnamed:
            content.used.add(number)


def _leave_out_placeholder(content: _Content) -> None:
    """Roboflow puts the project's name at id 0, as everything's supercategory; no box has it."""
    name = content.names.get(0)
    if content.convention.from_zero is None and 0 not in content.used and name in content.supercategories:
        del content.names[0]
        content.notices.append(f'{content.place}: the category 0 "{name}" has no box and is left out.')


def _entries(folder: DataFolder, content: _Content, classes: SourceClasses) -> Iterator[Entry]:
    for key, listed in content.images.items():
        yield from _image(folder, content, classes, key, listed)
    yield from _homeless(content)


def _image(
    folder: DataFolder,
    content: _Content,
    classes: SourceClasses,
    key: Key,
    listed: tuple[int, str, tuple[int, int], str, dict[str, str]],
) -> Iterator[Entry]:
    """An image as it is listed with its boxes, after what is wrong with them."""
    number, name, sizes, group, stated = listed
    first = content.images.rows(key)[0]
    try:
        if first[0] != number:
            other = f'the id {shown(key)}, which "{shown(first[1])}" has too'
            raise AnnotationError("duplicate", f'("{shown(name)}") has {other}')
        file = image_path(folder, name, content.source.places)
    except AnnotationError as error:
        yield Fault(content.place, None, error.check, f"{content.place}: image {number} {error}.")
        return
    image = folder.name_of(file)
    found = _boxes(content, content.boxes.rows(key), name, classes, image)
    split = content.source.split
    yield from labelled_file(image, file, content.place, found, sizes, split, group, attributes=stated)


def _boxes(
    content: _Content, rows: Iterable[_Row | _FaultyRow], name: str, classes: SourceClasses, image: str
) -> Iterator[Box | Fault]:
    for row in rows:
        where = f"annotation {row[0]}"
        try:
            if len(row) == 3:
                raise AnnotationError(row[1], row[2])
            _, category, edges, crowd, difficult, truncated, score, square_pixels = row
            label, name = classes.label(content.numbers.get(category, category))
            yield Box(*edges, label, name, where, difficult, truncated, crowd, score, square_pixels)
        except AnnotationError as error:
            sentence = f'{content.place}: {where} (of "{shown(name)}") {error}.'
            yield Fault(content.place, where, error.check, sentence, image=image)


def _homeless(content: _Content) -> Iterator[Fault]:
    """What stands in the file but belongs to no image."""
    for where, (check, rest) in content.faults.items():
        box = None if str(where).startswith("image") else str(where)
        yield Fault(content.place, box, check, f"{content.place}: {where} {rest}.")
    lost = (found for found in content.boxes.items() if found[0] not in content.images)
    few = list(islice(lost, _FEW_LOST + 1))
    if len(few) <= _FEW_LOST:
        for key, row in few:
            where, rest = f"annotation {row[0]}", f"belongs to image {shown(key)}, which is not listed"
            yield Fault(content.place, where, "annotation", f"{content.place}: {where} {rest}.")
        return
    (key, row), count = few[0], len(few) + sum(1 for _ in lost)
    listed = next((shown(one) for one, _ in content.images.items()), "none")
    message = (
        f"{content.place}: {count} annotations belong to images that are not listed, such as annotation {row[0]} to "
        f"{shown(key) if isinstance(key, int) else repr(shown(key))}; ids of listed images are such as {listed}. "
        "Write the same id into image_id and into the image's id."
    )
    yield Fault(content.place, None, "annotation", message)
