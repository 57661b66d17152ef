# SPDX-License-Identifier: Apache-2.0
"""SageMaker Ground Truth's augmented manifest: a JSON object a line, boxes as left, top, width and height in pixels.

Every attribute whose metadata say `groundtruth/object-detection` counts, several of them together; where a job
adjusted another's boxes, its attribute takes the other's place (`adjustments`). Class ids count from 0, and `class-map`
names them. `source-ref` is an S3 address; its image is found in the folder by the longest end of its key.
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training_src.data.dataset import Box, Dataset, Entry, Fault, Severity, labelled_file
from training_src.data.formats.adjustments import Adjustments, Attribute
from training_src.data.formats.classes import SourceClasses, made_names
from training_src.data.formats.data_folder import LARGEST_TEXT, DataFolder, split_folders
from training_src.data.formats.fields import (
    AnnotationError,
    attributes,
    class_name,
    confidence,
    four_numbers,
    shown,
    size,
)
from training_src.data.label_map import LabelMap, make_label_map
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "ground_truth"

_SUFFIXES = (".manifest", ".jsonl")
# Of its folders of images: https://huggingface.co/docs/datasets/image_dataset
_HUGGING_FACES = "metadata.jsonl"
_TYPE = "groundtruth/object-detection"


def recognise(folder: Path) -> bool:
    """Whether there is a `*.manifest` or `*.jsonl` file, also in a split's folder or in a job's `manifests/output`."""
    return any(True for _ in _manifests(DataFolder(folder)))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every line; class ids shift by one, names come from the label map or `class-map`."""
    inside = DataFolder(folder)
    manifests = list(_manifests(inside))
    if not manifests:
        raise DataError(f"{folder.name} holds no *.manifest or *.jsonl file; a labelling job writes output.manifest.")

    def attributes_of_lines() -> Iterator[Sequence[Attribute]]:
        for file, _ in manifests:
            yield from (_attributes(line.content) for line in _lines(inside, file) if isinstance(line, _Line))

    if label_map is None:
        label_map = _made_label_map(inside, manifests)
    reading = _Reading(inside, Adjustments(attributes_of_lines), label_map)

    def entries() -> Iterator[Entry]:
        for file, split in manifests:
            for line in _lines(inside, file):
                yield from [line] if isinstance(line, Fault) else _labelled(reading, line, split)

    return Dataset(NAME, label_map, entries)


@dataclass(frozen=True)
class _Line:
    file: Path
    place: str
    number: int
    content: Mapping[str, Any]

    def fault(self, error: AnnotationError, within: str = "", image: str = "") -> Fault:
        """What is wrong in the line, as a sentence."""
        where = f"line {self.number}{within}"
        severity: Severity = "warning" if error.check == "unlabelled" else "error"
        return Fault(self.place, where, error.check, f"{self.place}: {where} {error}.", severity, image)


@dataclass(frozen=True)
class _Reading:
    """What every line is read with."""

    folder: DataFolder
    adjustments: Adjustments
    label_map: LabelMap


def _manifests(folder: DataFolder) -> Iterator[tuple[Path, str | None]]:
    for place in (folder.path, folder.path / "manifests" / "output"):
        for file in folder.files(place, _SUFFIXES):
            if file.name != _HUGGING_FACES:
                yield file, given_split(file.name)
    for child, split in split_folders(folder.path):
        yield from ((file, split) for file in folder.files(child, _SUFFIXES) if file.name != _HUGGING_FACES)


def _lines(folder: DataFolder, file: Path) -> Iterator[_Line | Fault]:
    place = folder.name(file)
    objects = _Objects()
    try:
        for number, text in folder.lines(file):
            for at, content in objects.add(number, text):
                yield _line(file, place, at, content)
    except AnnotationError as error:
        yield error.fault(place)
        return
    if (rest := objects.unfinished) is not None:
        yield _line(file, place, rest, None)
    elif not objects.found:
        yield Fault(place, None, "empty", f"{place} is empty; write it again, or remove it.")


def _line(file: Path, place: str, number: int, content: object) -> _Line | Fault:
    if isinstance(content, dict):
        return _Line(file, place, number, content)
    where = f"line {number}"
    if isinstance(content, str):
        rest = f'has the key "{shown(content)}" twice, of which one would be lost; give each its own name'
        return Fault(place, where, "annotation", f"{place}: {where} {rest}.")
    return Fault(place, where, "annotation", f"{place}: {where} is no JSON object; copy the file again.")


class _Objects:
    """Puts JSON objects together that editors and tools spread over several lines, or put into a list.

    Attributes:
        found: How many came out.
        unfinished: The line at which an object began that has not ended; None where there is none.
    """

    def __init__(self) -> None:
        self.found = 0
        self.unfinished: int | None = None
        self._lines: list[str] = []
        self._length = self._open = 0

    def add(self, number: int, text: str) -> Iterator[tuple[int, object]]:
        """The objects that a line completes, with the number of the line at which each began.

        One that is none is None; one that says a key twice is that key.
        """
        bare = text.rstrip(",")
        if self.unfinished is None and bare in ("[", "]"):
            return
        alone = _parsed(bare)
        if self.unfinished is not None and isinstance(alone, dict) and "source-ref" in alone:
            yield self._ended(None)  # it was cut off, and this line is the next object
        if self.unfinished is None:
            if alone is not None or not bare.startswith("{"):
                self.found += 1
                yield number, alone
                return
            self.unfinished = number
        self._lines.append(text)
        self._length += len(text) + 1
        self._open += text.count("{") - text.count("}")
        if self._open <= 0 or self._length > LARGEST_TEXT:
            yield self._ended(_parsed("\n".join(self._lines).rstrip().rstrip(",")))

    def _ended(self, content: object) -> tuple[int, object]:
        assert self.unfinished is not None
        began, self.unfinished = self.unfinished, None
        self._lines, self._length, self._open = [], 0, 0
        self.found += 1
        return began, content


def _parsed(text: str) -> object:
    """A JSON object, the key that it says twice, or None."""
    try:
        content = json.loads(text, object_pairs_hook=_without_doublets)
    except _DoubletError as error:
        return str(error)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


class _DoubletError(Exception):
    """A key stands twice; the message is the key."""


def _without_doublets(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise _DoubletError(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))
    return content


def _attributes(content: Mapping[str, Any]) -> Sequence[Attribute]:
    """Names, values and metadata of the line's box attributes."""
    found = []
    for key, value in content.items():
        metadata = content.get(f"{key}-metadata")
        if isinstance(metadata, dict) and isinstance(value, dict) and metadata.get("type", _TYPE) == _TYPE:
            found.append((key, value, metadata))
    return found


def _video_type(content: Mapping[str, Any]) -> str | None:
    """The type of a video job, if the line is one's: its boxes lie in a file of their own for each sequence."""
    types = [
        value.get("type") for key, value in content.items() if key.endswith("-metadata") and isinstance(value, dict)
    ]
    return next((kind for kind in types if isinstance(kind, str) and kind.startswith("groundtruth/video")), None)


def _class_map(metadata: Mapping[str, Any]) -> dict[int, str]:
    written = metadata.get("class-map")
    if written is None:
        return {}
    if not isinstance(written, dict) or not all(key.isdecimal() and len(key) < 10 for key in written):
        raise AnnotationError("class", f"has a class-map that names no class numbers: {shown(written)}")
    return {int(key): class_name(name) for key, name in written.items()}


def _made_label_map(folder: DataFolder, manifests: Sequence[tuple[Path, str | None]]) -> LabelMap:
    """A class-map names only the classes of its own line, so all lines are read first."""
    by_attribute: dict[str, list[dict[int, str]]] = {}
    used: dict[str, set[int]] = {}
    for file, _ in manifests:
        for line in _lines(folder, file):
            for key, value, metadata in _attributes(line.content) if isinstance(line, _Line) else ():
                try:
                    names = _class_map(metadata)
                except AnnotationError:
                    continue  # named when the entries are read
                _add_agreeing(by_attribute.setdefault(key, []), names)
                used.setdefault(key, set()).update(_used(value))
    lists = ((key, names) for key, found in sorted(by_attribute.items()) for names in found)
    return make_label_map([made_names(names, sorted(used[key]), 1) for key, names in lists], folder.path.name)


def _add_agreeing(lists: list[dict[int, str]], names: Mapping[int, str]) -> None:
    """Put names to those that they do not contradict: jobs of one name may number their classes differently."""
    for known in lists:
        joined = {**names, **known}
        if names.items() <= joined.items() and len(set(joined.values())) == len(joined):
            known.update(names)
            return
    lists.append(dict(names))


def _used(value: Mapping[str, Any]) -> Iterator[int]:
    annotations = value.get("annotations")
    for item in annotations if isinstance(annotations, list) else ():
        number = item.get("class_id") if isinstance(item, dict) else None
        if isinstance(number, int) and 0 <= number < 1 << 20:
            yield number


def _labelled(reading: _Reading, line: _Line, split: str | None) -> Iterator[Entry]:
    folder = reading.folder
    try:
        if video := _video_type(line.content):
            rest = f"is of a video job ({shown(video)}), whose boxes lie in a SeqLabel.json for each sequence of frames"
            raise AnnotationError("annotation", f"{rest}; label frames as images, or convert these files to COCO")
        image = _image(folder, line)
        attributes = reading.adjustments.standing(_attributes(line.content))
        if not attributes:
            raise AnnotationError("unlabelled", "has no boxes of a labelling job; the image is left out")
    except AnnotationError as error:
        yield line.fault(error)
        return
    named = folder.name(image)
    found: list[Box | Fault] = []
    width = height = 0
    for key, value, metadata in attributes:
        try:
            if "failure-reason" in metadata:
                rest = f'was not labelled ("{shown(metadata["failure-reason"])}"); the image is left out'
                raise AnnotationError("unlabelled", rest)
            width, height = _size(value) if not width else (width, height)
            classes = SourceClasses(_class_map(metadata), 1, reading.label_map, by_name=True)
            within = f" {key}" if len(attributes) > 1 else ""
            found += _boxes(line, value, metadata, classes, within, named)
        except AnnotationError as error:
            yield from (fault for fault in found if isinstance(fault, Fault))
            yield line.fault(error, image=named)
            return
    stated = _image_attributes(line.content)
    yield from labelled_file(named, str(image), line.place, found, (width, height), split, attributes=stated)


def _image_attributes(content: Mapping[str, Any]) -> dict[str, str]:
    """What the line says of the whole image: plain values, and the classes of jobs that classified images."""
    stated = {key: value for key, value in content.items() if not key.endswith(("-ref", "-metadata"))}
    for key in stated:
        metadata = content.get(f"{key}-metadata")
        if isinstance(metadata, dict):
            stated[key] = metadata.get("class-name")
    return attributes(stated)


def _image(folder: DataFolder, line: _Line) -> Path:
    address = line.content.get("source-ref")
    if not isinstance(address, str):
        rest = "has no source-ref, which a labelling job of images writes; export other tools' JSON lines as COCO"
        raise AnnotationError("annotation", rest)
    key = address.split("://", 1)[-1].split("/", 1)[-1] if "://" in address else address
    places = (line.file.parent, folder.path / "images", line.file.parent / "images")
    found = folder.ending(key, [place for place in places if place.is_dir()])
    if found is None or not found.is_file():
        rest = f'names the file "{shown(address)}", which is not in the data set; copy it beside the manifest'
        raise AnnotationError("missing_image", rest)
    return found


def _size(value: Mapping[str, Any]) -> tuple[int, int]:
    sizes = value.get("image_size")
    first = sizes[0] if isinstance(sizes, list) and sizes and isinstance(sizes[0], dict) else {}
    return size(first.get("width"), first.get("height"))


def _boxes(
    line: _Line,
    value: Mapping[str, Any],
    metadata: Mapping[str, Any],
    classes: SourceClasses,
    within: str,
    image: str,
) -> Iterator[Box | Fault]:
    annotations = value.get("annotations")
    if not isinstance(annotations, list):
        raise AnnotationError("annotation", "has no list of annotations; export the manifest again")
    objects = metadata.get("objects")
    for number, item in enumerate(annotations):
        where = f"{within} box {number}"
        try:
            if not isinstance(item, dict):
                raise AnnotationError("annotation", f"is no object: {shown(item)}")
            label, name = classes.label(item.get("class_id"))
            left, top, width, height = four_numbers([item.get(key) for key in ("left", "top", "width", "height")])
            edges = left, top, left + width, top + height
            about = objects[number] if isinstance(objects, list) and number < len(objects) else None
            score = confidence(about.get("confidence")) if isinstance(about, dict) else None
            yield Box(*edges, label, name, f"line {line.number}{where}", confidence=score)
        except AnnotationError as error:
            yield line.fault(error, where, image)
