# SPDX-License-Identifier: Apache-2.0
"""YOLO: a text file an image, in a folder `labels` beside `images`, and `data.yaml` with the classes and splits.

A line is a class, counted from 0, and the box's centre, width and height as shares of the image's; a sixth number is a
confidence, and more than six are a polygon, which becomes the box around it. An image without a text file is
background. Source: https://docs.ultralytics.com/datasets/detect/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training_src.data.dataset import Box, Dataset, Entry, Fault, labelled_file
from training_src.data.formats.classes import SourceClasses, made_names
from training_src.data.formats.data_folder import DataFolder, is_file, named_like, split_folders
from training_src.data.formats.fields import AnnotationError, Edges, class_name, confidence, number, shown
from training_src.data.formats.image_size import read_size
from training_src.data.images import IMAGE_SUFFIXES
from training_src.data.label_map import LabelMap, make_label_map
from training_src.errors import DataError

NAME = "yolo"

_KEYS = {"train": "train", "val": "validation", "valid": "validation", "test": "test"}
# A share beyond this was meant as pixels; tools that clip late write a little more than 1.
_GREATEST_SHARE = 2.0


def recognise(folder: Path) -> bool:
    """Whether there is a YAML file with `names`, or `labels` beside `images` (here or in a split's folder)."""
    if any("names" in settings for _, settings in _settings(DataFolder(folder))):
        return True
    roots = [folder, *(child for child, _ in split_folders(folder))]
    return any(_has(root, "images") and _has(root, "labels") for root in roots)


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read all text files; class ids shift by one, names come from the label map or `names`."""
    inside = DataFolder(folder)
    file, settings = next(((f, s) for f, s in _settings(inside) if "names" in s or _KEYS.keys() & s), (None, {}))
    try:
        names = _names(inside, settings)
        places, notices = _places(inside, settings)
    except AnnotationError as error:
        raise DataError(f"{inside.name(file) if file else 'classes.txt'} {error}.") from None
    if not places:
        raise DataError(f"{folder.name} holds no folder of images in YOLO's layout (images/ beside labels/).")
    if label_map is None:
        used = sorted(_used(inside, places)) if not names else []
        label_map = make_label_map([made_names(names, used, 1)], folder.name)
    classes = SourceClasses(names, 1, label_map, used=lambda: _used(inside, places))

    def entries() -> Iterator[Entry]:
        for place in places:
            for image in _images(inside, place):
                yield from [image] if isinstance(image, Fault) else _labelled(inside, image, place.split, classes)

    return Dataset(NAME, label_map, entries, (*notices, *classes.notices(file.name if file else "classes.txt")))


@dataclass(frozen=True)
class _Place:
    """A folder of images, or a text file that lists them, and its split."""

    path: Path
    split: str | None


def _settings(folder: DataFolder) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The folder's YAML files that can be read; `data.yaml` first."""
    files = [*named_like(folder.path, "*.yaml"), *named_like(folder.path, "*.yml")]
    if not files:
        return
    from training_src.data.formats import yaml_document  # here, since few data sets have any

    for file in sorted(files, key=lambda file: (file.stem != "data", file.name)):
        try:
            yield file, yaml_document.parse(folder.text(file, yaml_document.LARGEST))
        except AnnotationError as error:
            if file.stem == "data":
                raise DataError(f"{folder.name(file)} {error}.") from None


def _names(folder: DataFolder, settings: Mapping[str, Any]) -> dict[int, str]:
    given = settings.get("names")
    if given is None and (folder.path / "classes.txt").is_file():
        given = [line for _, line in folder.lines(folder.path / "classes.txt")]
    if isinstance(given, list):
        return {position: class_name(name) for position, name in enumerate(given)}
    if isinstance(given, dict):
        if not all(isinstance(key, str) and key.isdecimal() and len(key) < 10 for key in given):
            raise AnnotationError("class", f"has names that are not numbered: {shown(list(given))}")
        return {int(key): class_name(name) for key, name in given.items()}
    if given is None or given == "":
        return {}
    raise AnnotationError("class", f"has names that are neither a list nor a mapping: {shown(given)}")


def _places(folder: DataFolder, settings: Mapping[str, Any]) -> tuple[list[_Place], tuple[str, ...]]:
    """Where the images are: as `data.yaml` says, or else where the layout puts them."""
    places, notices = [], []
    base = settings.get("path") if isinstance(settings.get("path"), str) else ""
    for key in (key for key in settings if key in _KEYS):
        value = settings[key]
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str) or text in ("", "null", "~"):
                continue
            if (found := folder.ending(f"{base}/{text}")) is None:
                notices.append(f'data.yaml names "{shown(text)}" for {key}, which is not in the data set.')
            else:
                places.append(_Place(found, _KEYS[key]))
    if not places:
        places = list(_usual_places(folder.path))
    splits = {place.path: {other.split for other in places if other.path == place.path} for place in places}
    for path, found_splits in splits.items():
        if len(found_splits) > 1:
            listed = ", ".join(sorted(map(str, found_splits)))
            notices.append(f"{folder.name(path)} stands for {listed}: its images have no split of their own.")
    places = [_Place(path, found.pop() if len(found) == 1 else None) for path, found in splits.items()]
    return places, tuple(notices)


def _usual_places(folder: Path) -> Iterator[_Place]:
    for child, split in split_folders(folder):
        if (child / "images").is_dir():
            yield _Place(child / "images", split)
    images = folder / "images"
    if not images.is_dir():
        if named_like(folder, "*.txt"):
            yield _Place(folder, None)
        return
    yield from [_Place(child, split) for child, split in split_folders(images)] or [_Place(images, None)]


def _images(folder: DataFolder, place: _Place) -> Iterator[Path | Fault]:
    if place.path.is_dir():
        for file in folder.files(place.path, IMAGE_SUFFIXES, deep=place.path != folder.path):
            if folder.holds(str(file)):
                yield file
            else:
                named = folder.name(file)
                yield Fault(named, None, "path", f"{named} is a link to a place outside the data set; copy it in.")
        return
    listing = folder.name(place.path)
    try:
        for line, text in folder.lines(place.path):
            found = folder.ending(text, (place.path.parent,))
            if found is not None and found.is_file():
                yield found
            else:
                message = f'{listing}: line {line} names the file "{shown(text)}", which is not in the data set.'
                yield Fault(listing, f"line {line}", "missing_image", message)
    except AnnotationError as error:
        yield error.fault(listing)


def _text_file(folder: DataFolder, image: Path) -> Path | None:
    """The twin in `labels` of an image in `images`, or the text file beside it.

    Raises:
        AnnotationError: Several texts have nearly the image's name.
    """
    parts = list(image.relative_to(folder.path).parts[:-1])
    places = [image.parent]
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
        places.insert(0, folder.path.joinpath(*parts))
    for place in places:
        exactly = place / f"{image.stem}.txt"
        # A link out of the data set is one too, and refused when it is read.
        if text := exactly if is_file(str(exactly)) else folder.beside(image.stem, (place,), (".txt",)):
            return text
    return None


def _labelled(folder: DataFolder, image: Path, split: str | None, classes: SourceClasses) -> Iterator[Entry]:
    named = folder.name(image)
    try:
        text = _text_file(folder, image)
        annotation = folder.name(text) if text else named
        size = read_size(image)
    except AnnotationError as error:
        yield error.fault(named)
        return
    try:
        found = _boxes(folder, text, classes, size, named) if text else ()
        yield from labelled_file(named, str(image), annotation, found, size, split, written_as="shares")
    except AnnotationError as error:
        yield error.fault(annotation, image=named)


def _boxes(
    folder: DataFolder, file: Path, classes: SourceClasses, size: tuple[int, int], image: str
) -> Iterator[Box | Fault]:
    for line, written in folder.lines(file):
        where = f"line {line}"
        try:
            label, name, edges, score = _box(written, classes, *size)
            yield Box(*edges, label, name, where, confidence=score)
        except AnnotationError as error:
            yield error.fault(folder.name(file), where, image)


def _box(written: str, classes: SourceClasses, width: int, height: int) -> tuple[int, str, Edges, float | None]:
    fields = written.split()
    category, shares = _category(fields[0]), [number(field) for field in fields[1:]]
    label, name = classes.label(category)
    if any(abs(share) > _GREATEST_SHARE for share in shares):
        rest = f'has values beyond 1 where shares of the image are expected: "{shown(written)}"; divide by its size'
        raise AnnotationError("annotation", rest)
    if len(shares) in (4, 5):
        x, y, wide, high = shares[:4]
        edges = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
    elif len(shares) >= 6 and len(shares) % 2 == 0:
        edges = (min(shares[::2]), min(shares[1::2]), max(shares[::2]), max(shares[1::2]))
    else:
        raise AnnotationError("annotation", f'is no class with four numbers: "{shown(written)}"')
    score = confidence(shares[4]) if len(shares) == 5 else None
    return label, name, (edges[0] * width, edges[1] * height, edges[2] * width, edges[3] * height), score


def _category(text: str) -> int:
    try:
        value = number(text)
        return int(value) if value.is_integer() else -1
    except AnnotationError:
        raise AnnotationError(
            "annotation", f'begins with "{shown(text)}" where the class\'s number is expected'
        ) from None


def _used(folder: DataFolder, places: list[_Place]) -> set[int]:
    """Every class number in the text files, those that make no sense left out."""
    used = set()
    for place in places:
        for image in _images(folder, place):
            try:
                text = None if isinstance(image, Fault) else _text_file(folder, image)
                for _, written in folder.lines(text) if text else ():
                    used.add(_category(written.split()[0]))
            except AnnotationError:
                continue
    return {category for category in used if 0 <= category < 1 << 20}


def _has(root: Path, name: str) -> bool:
    return any(child.name == name and child.is_dir() for child in root.iterdir())
