# SPDX-License-Identifier: Apache-2.0
"""BBox-Label-Tool's text files: a count, then a line `x1 y1 x2 y2 label` a box, in pixels.

Images lie in `Images/001` and so on, texts under the same names in `Labels`. The tool's first version writes no label:
there the folder is the class. Source: https://github.com/puzzledqs/BBox-Label-Tool
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training_src.data.dataset import Dataset, Entry, Fault, labelled_file
from training_src.data.formats.classes import NamedBox, labelled_boxes
from training_src.data.formats.data_folder import DataFolder
from training_src.data.formats.fields import AnnotationError, class_name, four_numbers, shown
from training_src.data.images import IMAGE_SUFFIXES
from training_src.data.label_map import LabelMap
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "bbox_label_tool"


def recognise(folder: Path) -> bool:
    """Whether there are `Images` and `Labels`, whose first text begins with a lone count."""
    places = _places(folder)
    if places is None:
        return False
    inside = DataFolder(folder)
    file = next(inside.files(places[1], (".txt",), deep=True), None)
    try:
        return file is not None and next((line for _, line in inside.lines(file)), "").isdecimal()
    except (AnnotationError, OSError):
        return False


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read all text files; without a label map the class names, sorted, get the ids from 1."""
    places = _places(folder)
    if places is None:
        raise DataError(f"{folder.name} has no folders Images and Labels; BBox-Label-Tool has them.")
    images, labels = places
    inside = DataFolder(folder)
    if label_map is None:
        names = {box.name for found in _texts(inside, labels) if isinstance(found, _Text) for box in found.boxes}
        label_map = LabelMap(dict(enumerate(sorted(names), start=1)))
    fixed, ids = label_map, label_map.ids

    def entries() -> Iterator[Entry]:
        for found in _texts(inside, labels):
            if isinstance(found, Fault):
                yield found
                continue
            try:
                image = _image(inside, found.file, images, labels)
            except AnnotationError as error:
                yield error.fault(found.place)
                continue
            named, parts = inside.name(image), found.file.relative_to(labels).parts
            boxes = labelled_boxes(found.boxes, fixed, ids, found.place, named)
            split = given_split(parts[0]) if len(parts) > 1 else None
            yield from labelled_file(named, str(image), found.place, boxes, split=split)

    return Dataset(NAME, label_map, entries, _notices(inside, images, labels), tells_left_out=True)


@dataclass(frozen=True)
class _Text:
    file: Path
    place: str
    boxes: tuple[NamedBox, ...]


def _places(folder: Path) -> tuple[Path, Path] | None:
    named = {child.name.lower(): child for child in sorted(folder.iterdir()) if child.is_dir()}
    return (named["images"], named["labels"]) if {"images", "labels"} <= named.keys() else None


def _texts(folder: DataFolder, labels: Path) -> Iterator[_Text | Fault]:
    for file in folder.files(labels, (".txt",), deep=True):
        place = folder.name(file)
        try:
            yield _Text(file, place, tuple(_boxes(folder, file, labels)))
        except AnnotationError as error:
            yield error.fault(place)


def _image(folder: DataFolder, text: Path, images: Path, labels: Path) -> Path:
    if image := folder.beside(text.stem, (images / text.relative_to(labels).parent,)):
        return image
    rest = f"has no image of its name in {folder.name(images)}; add it, or remove the text"
    raise AnnotationError("missing_image", rest)


def _boxes(folder: DataFolder, file: Path, labels: Path) -> Iterator[NamedBox]:
    lines = list(folder.lines(file))
    if not lines or not lines[0][1].isdecimal():
        raise AnnotationError("annotation", "does not begin with the number of its boxes; export it again")
    if lines[0][1].lstrip("0") != (str(len(lines) - 1) if len(lines) > 1 else ""):
        rest = f"announces {shown(lines[0][1])} boxes and holds {len(lines) - 1}; it was cut off, or edited by hand"
        raise AnnotationError("annotation", rest)
    folder_class = file.parent.name if file.parent != labels else ""
    for line, text in lines[1:]:
        fields = text.split(maxsplit=4)
        name = fields[4] if len(fields) == 5 else f"class_{folder_class}" if folder_class else ""
        try:
            yield NamedBox(four_numbers(fields[:4]), class_name(name), f"line {line}")
        except AnnotationError as error:
            raise AnnotationError(error.check, f'has line {line} ("{shown(text)}"), which {error}') from None


def _notices(folder: DataFolder, images: Path, labels: Path) -> tuple[str, ...]:
    pictures = sum(1 for _ in folder.files(images, IMAGE_SUFFIXES, deep=True))
    texts = sum(1 for _ in folder.files(labels, (".txt",), deep=True))
    if pictures <= texts:
        return ()
    return (f"{pictures - texts} images were never opened in the tool: they have no text file and are left out.",)
