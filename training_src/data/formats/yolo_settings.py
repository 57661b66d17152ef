# SPDX-License-Identifier: Apache-2.0
"""What YOLO's tools write beside images and texts: class names, the places of the splits, the kind of labels.

Ultralytics and Roboflow write a YAML file, CVAT and Darknet `obj.data` with `obj.names` and lists of images, Roboflow's
Darknet export `_darknet.labels` in each split's folder, labelImg and Label Studio `classes.txt`, FiftyOne `obj.names`
beside `data/`.
Sources: https://docs.ultralytics.com/datasets/detect/, https://docs.cvat.ai/docs/manual/advanced/formats/format-yolo/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training_src.data.formats import bbox_label_tool
from training_src.data.formats.data_folder import DataFolder, folders_in, named_like, split_folders
from training_src.data.formats.fields import AnnotationError, class_name, shown
from training_src.data.images import IMAGE_SUFFIXES
from training_src.data.splits import given_split
from training_src.errors import DataError

DARKNET = "obj.data"
# In small letters: CVAT writes the names of a task's subsets.
_KEYS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test",
}  # fmt: skip
# One class a line, in these places.
_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
LISTS = frozenset(_LISTS)


@dataclass(frozen=True)
class Place:
    """A folder of images, or a text file that lists them, and its split."""

    path: Path
    split: str | None


@dataclass(frozen=True)
class YoloSettings:
    """What is known of a data set before a text is read.

    Attributes:
        source: The file that names the classes, for messages.
        names: By number, from 0; empty where nothing names them.
        places: Where the images are.
        kpt_shape: How many keypoints follow a box and how many numbers each has; empty: none do. None: nothing says it.
        notices: What people should know.
    """

    source: str
    names: Mapping[int, str]
    places: tuple[Place, ...]
    kpt_shape: tuple[int, ...] | None
    notices: tuple[str, ...]


def recognise(folder: Path) -> bool:
    """Whether there are class names of YOLO's tools, or `labels` beside `images` (here or in a split's folder).

    A list of names counts where a text lies beside an image of its name, there or in a folder there.
    """
    if any("names" in settings for _, settings in _yaml(DataFolder(folder))) or (folder / DARKNET).is_file():
        return True
    if bbox_label_tool.recognise(folder):
        return False  # which has Images and Labels, too
    roots = [folder, *(child for child, _ in split_folders(folder))]
    if any(DataFolder(root).child(root, "images") and DataFolder(root).child(root, "labels") for root in roots):
        return True
    return any((root / name).is_file() and any(_with_pairs(root)) for root in roots for name in _LISTS)


def read_settings(folder: DataFolder) -> YoloSettings:
    """Find names and places.

    Raises:
        DataError: A file that should say them cannot be read, or there is no folder of images.
    """
    file, settings = _chosen(folder)
    kpt_shape = _kpt_shape(folder)
    try:
        names, source = _names(folder, settings, file)
        places, notices = _places(folder, settings)
    except AnnotationError as error:
        raise DataError(f"{folder.name(file) if file else 'classes.txt'} {error}.") from None
    if not places:
        raise DataError(f"{folder.path.name} holds no folder of images in YOLO's layout (images/ beside labels/).")
    return YoloSettings(source, names, tuple(places), kpt_shape, tuple(notices))


def _yaml(folder: DataFolder) -> Iterator[tuple[Path, Mapping[str, Any]]]:
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


def _chosen(folder: DataFolder) -> tuple[Path | None, Mapping[str, Any]]:
    """The file that says most of what is asked: other tools' files speak of `train` and `val`, too."""
    found = [*_yaml(folder), *_darknet(folder)]
    told = [(("names" in settings) * 2 + any(map(_split_of, settings)), file, settings) for file, settings in found]
    return next(((file, settings) for most in (3, 2, 1) for told_, file, settings in told if told_ == most), (None, {}))


def _kpt_shape(folder: DataFolder) -> tuple[int, ...] | None:
    """What one of the folder's YAML files says of keypoints, `data.yaml` first."""
    for file, settings in _yaml(folder):
        shape = settings.get("kpt_shape")
        if shape is None:
            continue
        if shape in ([], "", "null", "~"):
            return ()
        written = shape if isinstance(shape, list) and len(shape) == 2 else []
        numbers = [int(one) for one in written if isinstance(one, str) and one.isdecimal() and len(one) < 5]
        points, dimensions = numbers if len(numbers) == 2 else (0, 0)
        if points < 1 or dimensions not in (2, 3):
            rest = "write [number of points, 2 or 3], or [] where lines hold no keypoints"
            raise DataError(f"{folder.name(file)} has kpt_shape {shown(shape)}; {rest}.")
        return points, dimensions
    return None


def _darknet(folder: DataFolder) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """`obj.data`, whose lines are `key = value`; its names are a file's."""
    file = folder.path / DARKNET
    if not file.is_file():
        return
    try:
        pairs = [text.partition("=") for _, text in folder.lines(file)]
    except AnnotationError as error:
        raise DataError(f"{folder.name(file)} {error}.") from None
    yield file, {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _split_of(key: object) -> str | None:
    return _KEYS.get(key.lower()) if isinstance(key, str) else None


def _names(folder: DataFolder, settings: Mapping[str, Any], file: Path | None) -> tuple[dict[int, str], str]:
    """Names by number, and the file that has them."""
    given, source = settings.get("names"), folder.name(file) if file else "classes.txt"
    if isinstance(given, str) and given and (listed := folder.ending(given)) is not None and listed.is_file():
        return _lines(folder, listed), folder.name(listed)
    if isinstance(given, list):
        return _agreed(folder, {position: class_name(name) for position, name in enumerate(given)}, source), source
    if isinstance(given, dict):
        if not all(isinstance(key, str) and key.isdecimal() and len(key) < 10 for key in given):
            raise AnnotationError("class", f"has names that are not numbered: {shown(list(given))}")
        return _agreed(folder, {int(key): class_name(name) for key, name in given.items()}, source), source
    if given not in (None, ""):
        raise AnnotationError("class", f"has names that are neither a list nor a mapping: {shown(given)}")
    return _listed_names(folder, source)


def _listed_names(folder: DataFolder, source: str) -> tuple[dict[int, str], str]:
    """Names of the longest list, whose beginning all others are: each folder of texts may have one of its own.

    Raises:
        DataError: Two lists give a number to different classes.
    """
    names: dict[int, str] = {}
    for file in _lists(folder):
        found = _lines(folder, file)
        if different := _difference(folder.name(file), found, source, names):
            raise DataError(
                f"{different}: the texts of the two folders count differently. Label both with one list, or merge the "
                "folders by a sources.yaml."
            )
        if len(found) > len(names):
            names, source = found, folder.name(file)
    return names, source


def _agreed(folder: DataFolder, names: dict[int, str], source: str) -> dict[int, str]:
    """Names that no list beside them contradicts.

    Raises:
        DataError: One gives a number to another class.
    """
    for file in _lists(folder):
        if different := _difference(folder.name(file), _lines(folder, file), source, names):
            raise DataError(f"{different}; remove or correct the one that the texts were not labelled by.")
    return names


def _difference(file: str, found: Mapping[int, str], source: str, names: Mapping[int, str]) -> str:
    """A sentence's beginning on the first number that two lists give to different classes; empty for none."""
    number = next((one for one in sorted(found.keys() & names.keys()) if found[one] != names[one]), None)
    return (
        "" if number is None else f'{file} calls class {number} "{found[number]}", {source} calls it "{names[number]}"'
    )


def _lists(folder: DataFolder) -> Iterator[Path]:
    for root in [folder.path, *(place for place, _ in split_folders(folder.path))]:
        for place in (root, folder.child(root, "labels")):
            for name in _LISTS:
                if place is not None and (place / name).is_file():
                    yield place / name


def _lines(folder: DataFolder, file: Path) -> dict[int, str]:
    """Names by their lines.

    Raises:
        AnnotationError: It cannot be read, or a name is none.
        DataError: An empty line stands between names: some tools count it.
    """
    names = {}
    for position, (line, text) in enumerate(folder.lines(file)):
        if line != position + 1:
            rest = f'has an empty line {position + 1} in front of "{shown(text)}"; remove it, or name the class there'
            raise DataError(f"{folder.name(file)} {rest}.")
        names[position] = class_name(text)
    return names


def _places(folder: DataFolder, settings: Mapping[str, Any]) -> tuple[list[Place], list[str]]:
    """Where the images are: as the settings say, or else where the layout puts them."""
    places, notices = [], []
    base = settings.get("path") if isinstance(settings.get("path"), str) else ""
    for key in (key for key in settings if _split_of(key)):
        value = settings[key]
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str) or text in ("", "null", "~"):
                continue
            if (found := folder.ending(f"{base}/{text}")) is None:
                notices.append(f'data.yaml names "{shown(text)}" for {key}, which is not in the data set.')
            else:
                places.append(Place(found, _split_of(key)))
    if not places:
        places = list(_usual_places(folder))
    splits = {place.path: {other.split for other in places if other.path == place.path} for place in places}
    for path, found_splits in splits.items():
        if len(found_splits) > 1:
            listed = ", ".join(sorted(map(str, found_splits)))
            notices.append(f"{folder.name(path)} stands for {listed}: its images have no split of their own.")
    return [Place(path, found.pop() if len(found) == 1 else None) for path, found in splits.items()], notices


def _usual_places(folder: DataFolder) -> Iterator[Place]:
    for place, split in split_folders(folder.path):
        if inner := folder.child(place, "images"):
            yield Place(inner, split)
        else:
            yield from (Place(found, split) for found in _with_pairs(place))
    images = folder.child(folder.path, "images")
    if images is None:
        for found in _with_pairs(folder.path):
            if found == folder.path or not given_split(found.name):  # a split's was just seen
                yield Place(found, None)
        return
    yield from [Place(place, split) for place, split in split_folders(images)] or [Place(images, None)]


def _with_pairs(folder: Path) -> Iterator[Path]:
    """A folder that has a text beside an image of its name, else the folders in it that have: FiftyOne's `data/`."""
    if _has_pair(folder):
        yield folder
    else:
        yield from (place for place in folders_in(folder) if _has_pair(place))


def _has_pair(folder: Path) -> bool:
    """Whether a folder has a text beside an image of its name."""
    inside = DataFolder(folder)
    # The first that has one ends the search; of a million images no name is kept.
    return any(image.with_suffix(".txt").is_file() for image in inside.files(folder, IMAGE_SUFFIXES))
