# SPDX-License-Identifier: Apache-2.0
"""BBox-Label-Tool's text files: a count, then a line `x1 y1 x2 y2 label` a box, in pixels.

Images lie in `Images/001` and so on, texts under the same names in `Labels`; or one folder of texts, `bbox` or
`labels`, stands beside `train/images` and `validation/images`. The tool's first version writes no label: there the
folder is the class. Source: https://github.com/puzzledqs/BBox-Label-Tool
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training_src.data.dataset import Dataset, Entry, Fault, labelled_file
from training_src.data.formats.classes import NamedBox, labelled_boxes
from training_src.data.formats.data_folder import DataFolder, split_folders
from training_src.data.formats.fields import AnnotationError, class_name, four_numbers, shown
from training_src.data.images import IMAGE_SUFFIXES
from training_src.data.label_map import LabelMap, make_label_map
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "bbox_label_tool"

_LISTS = ("classes.txt", "obj.names")  # of other tools, beside texts of theirs


def recognise(folder: Path) -> bool:
    """Whether there are folders of images and of texts, whose first begins with a lone count."""
    places = _places(folder)
    if places is None:
        return False
    return _begins_with_a_count(DataFolder(folder), places.labels)


def _begins_with_a_count(inside: DataFolder, labels: Path) -> bool:
    """Whether the first text of a folder is one of the tool's."""
    file = next((file for file in inside.files(labels, (".txt",), deep=True) if file.name not in _LISTS), None)
    try:
        return file is not None and next((line for _, line in inside.lines(file)), "").isdecimal()
    except (AnnotationError, OSError):
        return False


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read all text files; without a label map the class names, sorted, get the ids from 1."""
    places = _places(folder)
    if places is None:
        raise DataError(f"{folder.name} has no folders Images and Labels; BBox-Label-Tool has them.")
    inside = DataFolder(folder)
    if label_map is None:
        found_texts = (found for found in _texts(inside, places.labels) if isinstance(found, _Text))
        names = {box.name for found in found_texts for box in found.boxes}
        label_map = make_label_map([dict(enumerate(sorted(names), start=1))], folder.name)
    fixed, ids = label_map, label_map.ids

    def entries() -> Iterator[Entry]:
        for found in _texts(inside, places.labels):
            if isinstance(found, Fault):
                yield found
                continue
            try:
                image, split = _image(inside, found.file, places)
            except AnnotationError as error:
                yield error.fault(found.place)
                continue
            named = inside.name(image)
            boxes = labelled_boxes(found.boxes, fixed, ids, found.place, named)
            yield from labelled_file(named, str(image), found.place, boxes, split=split)

    return Dataset(NAME, label_map, entries, _notices(inside, places), tells_left_out=True)


@dataclass(frozen=True)
class _Text:
    file: Path
    place: str
    boxes: tuple[NamedBox, ...]


@dataclass(frozen=True)
class _Places:
    """The folder of texts, and those of images with their splits."""

    labels: Path
    images: tuple[tuple[Path, str | None], ...]


def _places(folder: Path) -> _Places | None:
    inside = DataFolder(folder)
    texts = [found for name in ("labels", "bbox") if (found := inside.child(folder, name))]
    labels = next((place for place in texts if _begins_with_a_count(inside, place)), next(iter(texts), None))
    images = inside.child(folder, "images")
    roots: list[tuple[Path, str | None]] = [(images, None)] if images else []
    roots += [(inside.child(place, "images") or place, split) for place, split in split_folders(folder)]
    return _Places(labels, tuple(roots)) if labels and roots else None


def _texts(folder: DataFolder, labels: Path) -> Iterator[_Text | Fault]:
    for file in folder.files(labels, (".txt",), deep=True):
        place = folder.name(file)
        try:
            yield _Text(file, place, tuple(_boxes(folder, file, labels)))
        except AnnotationError as error:
            yield error.fault(place)


def _image(folder: DataFolder, text: Path, places: _Places) -> tuple[Path, str | None]:
    """The image of a text, and the split that its folder speaks of.

    Raises:
        AnnotationError: There is none, or the images of several splits have the text's name.
    """
    within = text.relative_to(places.labels).parent
    own = given_split(within.parts[0]) if within.parts else None
    found: list[tuple[Path, str | None]] = []
    for root, split in places.images:
        if split and own not in (None, split):
            continue  # texts in a split's folder are of its images
        if image := folder.beside(text.stem, (root / within, root) if split else (root / within,)):
            found.append((image, split or own))
    if not found:
        where = ", ".join(folder.name(root) for root, _ in places.images)
        raise AnnotationError("missing_image", f"has no image of its name in {where}; add it, or remove the text")
    if len(found) > 1:
        both = " and ".join(folder.name(image) for image, _ in found[:3])
        raise AnnotationError("annotation", f"may be of {both}; put it into a folder that is named like the split")
    return found[0]


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


def _notices(folder: DataFolder, places: _Places) -> tuple[str, ...]:
    pictures = sum(1 for root, _ in places.images for _ in folder.files(root, IMAGE_SUFFIXES, deep=True))
    texts = sum(1 for _ in folder.files(places.labels, (".txt",), deep=True))
    if pictures <= texts:
        return ()
    return (f"{pictures - texts} images were never opened in the tool: they have no text file and are left out.",)
