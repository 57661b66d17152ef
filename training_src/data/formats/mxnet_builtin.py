# SPDX-License-Identifier: Apache-2.0
"""The image format of SageMaker's older built-in Object Detection (MXNet): a JSON file an image.

`train/` and `validation/` hold images, `train_annotation/` and `validation_annotation/` a JSON under each image's name,
with boxes as left, top, width and height in pixels and classes from 0. The lists (`train.lst`) of its RecordIO way are
named as what they are.
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from training_src.data.dataset import Box, Dataset, Entry, Fault, labelled_file
from training_src.data.formats.classes import SourceClasses, made_names
from training_src.data.formats.data_folder import DataFolder, named_like
from training_src.data.formats.fields import AnnotationError, class_name, four_numbers, shown, size
from training_src.data.formats.image_address import image_path
from training_src.data.label_map import LabelMap, make_label_map
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "mxnet_builtin"

_SUFFIX = "_annotation"


def recognise(folder: Path) -> bool:
    """Whether there is a folder `<channel>_annotation` with JSON beside one called `<channel>`."""
    return any(named_like(place, "*.json") for place, _ in _channels(folder))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every JSON; class ids shift by one, names come from the label map or from the files' `categories`."""
    inside = DataFolder(folder)
    channels = list(_channels(folder))
    if not channels:
        raise DataError(f"{folder.name} holds no folders train/ and train_annotation/; SageMaker's older built-in has.")
    names, used = _classes(inside, channels)
    if label_map is None:
        label_map = make_label_map([made_names(names, sorted(used), 1)], folder.name)
    classes = SourceClasses(names, 1, label_map, used=lambda: used)

    def entries() -> Iterator[Entry]:
        for place, pictures in channels:
            for file in inside.files(place, (".json",), deep=True):
                yield from _labelled(inside, file, pictures, classes)

    return Dataset(NAME, label_map, entries, classes.notices(f"{channels[0][0].name}/"))


@dataclass(frozen=True)
class _Document:
    """One image's annotation."""

    image: str
    size: tuple[int, int]
    boxes: list[Any]
    names: Mapping[int, str]


def _channels(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Folders of annotations with the folders of their images."""
    for place in named_like(folder, f"*{_SUFFIX}"):
        pictures = place.with_name(place.name.removesuffix(_SUFFIX))
        if place.is_dir() and pictures.is_dir():
            yield place, pictures


def _parsed(folder: DataFolder, file: Path) -> _Document:
    text = folder.text(file)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise AnnotationError("annotation", 'is no JSON object with "annotations"; export it again')
    sizes = content.get("image_size")
    first = sizes[0] if isinstance(sizes, list) and sizes and isinstance(sizes[0], dict) else {}
    image = content.get("file")
    return _Document(
        image if isinstance(image, str) else file.stem,
        size(first.get("width"), first.get("height")),
        content["annotations"],
        _names(content.get("categories")),
    )


def _names(categories: Any) -> dict[int, str]:
    """Names by number; what is no list of them names nothing."""
    found = [one for one in categories if isinstance(one, dict)] if isinstance(categories, list) else []
    return {one["class_id"]: class_name(one.get("name")) for one in found if _is_number(one.get("class_id"))}


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 20


def _classes(folder: DataFolder, channels: list[tuple[Path, Path]]) -> tuple[dict[int, str], set[int]]:
    """Names by id, and the ids that boxes have; what cannot be read is named with the entries.

    Raises:
        DataError: Two files give a number to different classes.
    """
    names: dict[int, str] = {}
    used: set[int] = set()
    for place, _ in channels:
        for file in folder.files(place, (".json",), deep=True):
            try:
                document = _parsed(folder, file)
            except AnnotationError:
                continue
            for number, name in document.names.items():
                if names.setdefault(number, name) != name:
                    raise DataError(
                        f'{folder.name(file)} calls class {number} "{name}", another file calls it "{names[number]}"; '
                        "number the classes alike in all files."
                    )
            found = (box.get("class_id") for box in document.boxes if isinstance(box, dict))
            used |= {number for number in found if _is_number(number)}
    return names, used


def _labelled(folder: DataFolder, file: Path, pictures: Path, classes: SourceClasses) -> Iterator[Entry]:
    place = folder.name(file)
    try:
        document = _parsed(folder, file)
        image = image_path(folder, document.image, (pictures, file.parent, folder.path))
    except AnnotationError as error:
        yield error.fault(place)
        return
    named = folder.name_of(image)
    boxes = list(_boxes(document, place, named, classes))
    yield from labelled_file(named, image, place, boxes, document.size, given_split(pictures.name))


def _boxes(document: _Document, place: str, image: str, classes: SourceClasses) -> Iterator[Box | Fault]:
    for number, item in enumerate(document.boxes):
        where = f"box {number}"
        try:
            if not isinstance(item, dict):
                raise AnnotationError("annotation", f"is no object: {shown(item)}")
            label, name = classes.label(item.get("class_id"))
            left, top, width, height = four_numbers([item.get(key) for key in ("left", "top", "width", "height")])
            yield Box(left, top, left + width, top + height, label, name, where)
        except AnnotationError as error:
            yield error.fault(place, where, image)
