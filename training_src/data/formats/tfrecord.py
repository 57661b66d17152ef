# SPDX-License-Identifier: Apache-2.0
"""TFRecord files of the TF Object Detection API's tf.Examples; file or folder names tell the splits.

Several shards (`train.record-00000-of-00010`), also compressed with GZIP and in folders of any name, and the exports of
Waymo's frames, whose drive becomes the group that no split may tear apart.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from containers.contract.tf_example import Floats
from containers.contract.tfrecord import read_records
from training_src.class_names import one_spelling
from training_src.data.dataset import Box, Dataset, Encoded, Entry, Fault, LabelledImage
from training_src.data.formats.classes import listed
from training_src.data.formats.data_folder import DataFolder
from training_src.data.formats.fields import AnnotationError, area, attributes, class_name, confidence, shown
from training_src.data.formats.file_names import is_folder_entry
from training_src.data.images import BrokenImageError, read_header
from training_src.data.label_map import LabelMap, make_label_map
from training_src.data.records.compression import decompress, is_compressed
from training_src.data.records.example import DetectionExample, decode_stored
from training_src.data.splits import given_split
from training_src.errors import DataError
from training_src.left_beside import is_foreign

NAME = "tfrecord"

_SHARD = re.compile(r"(\.(tf)?records?(-\d{5}-of-\d{5})?|-\d{5}-of-\d{5}(\.(tf)?records?)?)(\.gz)?$")
_NUMBERED = re.compile(r"^(.*-)(\d{5})(-of-(\d{5}).*)$")
# Boxes that leave their image are clipped or refused; none leaves it by its own size.
_GREATEST_SHARE = 2.0
# Folders of files an image, which may be millions and hold no shard.
_OF_IMAGES = frozenset(("images", "jpegimages", "labels", "annotations", "bbox"))
# Waymo's names of drives: segment-<context>_with_camera_labels.tfrecord, and the images' names made from it.
_DRIVE = re.compile(r"segment-\d+(_\d+){4}|^\d{15,20}(_\d+){4}")

# Entries name places in decompressed shards and may outlive their data set, so these folders go with the process.
_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def recognise(folder: Path) -> bool:
    """Whether the folder, or a split's folder in it, holds `*.record`, `*.tfrecord` or numbered shards."""
    return any(shards_of(folder))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every record's annotation and remember where its image lies."""
    plain = _PlainShards(DataFolder(folder))
    if not any(shards_of(folder)):
        raise DataError(f"{folder.name} holds no *.record or *.tfrecord file.")
    pairs = _Pairs(plain)
    if label_map is None:
        label_map = pairs.label_map()
    classes = _Classes(label_map, pairs)

    def entries() -> Iterator[Entry]:
        yield from _missing_shards(folder)
        told: set[str] = set()
        for shard, split in shards_of(folder):
            for found in _examples(plain, shard):
                if isinstance(found, Fault):
                    yield found
                    continue
                for notice in _labelled(found, split, classes):
                    if not isinstance(notice, _Notice):
                        yield notice
                    elif notice.sentence not in told:
                        told.add(notice.sentence)
                        yield Fault(found.file, None, "layout", notice.sentence)

    return Dataset(NAME, label_map, entries, tells_left_out=True)


class _Record:
    """A record's annotation, its name for people, and where its image lies."""

    def __init__(self, file: str, number: int, encoded: Encoded, example: DetectionExample) -> None:
        self.file = file
        self.encoded = encoded
        self.example = example
        self.place = f"{file}: record {number}"
        self.named = f'{self.place} ("{shown(example.filename or example.source_id)}")'


class _PlainShards:
    """Shards as they are, or decompressed into a temporary folder."""

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._decompressed: dict[Path, Path] = {}

    def of(self, shard: Path) -> Path:
        """The plain file.

        Raises:
            DataError: The shard cannot be decompressed, or is a link out of the folder.
        """
        if not self.folder.holds(str(shard)):
            raise DataError(f"{shard.name} is a link to a place outside the data set; copy the file in.")
        if shard not in self._decompressed:
            self._decompressed[shard] = self._written(shard) if is_compressed(shard) else shard
        return self._decompressed[shard]

    def _written(self, shard: Path) -> Path:
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="mapgate-shards-")
            _KEPT.append(self._temporary)
        plain = Path(self._temporary.name) / f"{len(self._decompressed):05d}.tfrecord"
        try:
            decompress(shard, plain)
        except DataError:
            plain.unlink(missing_ok=True)
            raise
        return plain


def shards_of(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Every shard, whatever folders it lies in, with the split that its nearest folder or its own name speaks of."""
    yield from _shards_within(folder, None)


def _shards_within(folder: Path, split: str | None) -> Iterator[tuple[Path, str | None]]:
    with os.scandir(folder) as entries:
        listed = ((entry.name, is_folder_entry(entry)) for entry in entries)
        found = [(name, is_folder) for name, is_folder in listed if is_folder or _SHARD.search(name)]
    for name, is_folder in sorted(found):
        child = folder / name
        if is_foreign(name):
            continue
        if is_folder and not child.is_symlink():
            if name.lower() not in _OF_IMAGES:
                yield from _shards_within(child, given_split(name) or split)
        elif not is_folder and child.is_file():
            yield child, split or given_split(name)


def _missing_shards(folder: Path) -> Iterator[Fault]:
    """Shards that the names of others announce."""
    numbers: dict[tuple[Path, str, str, int], set[int]] = {}
    for shard, _ in shards_of(folder):
        if match := _NUMBERED.match(shard.name):
            key = (shard.parent, match[1], match[3], int(match[4]))
            numbers.setdefault(key, set()).add(int(match[2]))
    for (parent, before, after, count), found in numbers.items():
        if missing := count - len(found):
            place = (parent / f"{before}?????{after}").relative_to(folder).as_posix()
            message = f"{place}: {missing} of {count} shards are missing; copy them all."
            yield Fault(place, None, "missing_shard", message)


def _examples(plain: _PlainShards, shard: Path, *, checked: bool = True) -> Iterator[_Record | Fault]:
    """A shard's records, up to the first that cannot be read."""
    place = plain.folder.name(shard)
    number = 0
    try:
        if shard.stat().st_size == 0:
            yield Fault(place, None, "empty", f"{place} is empty; write it again, or remove it.")
        file = plain.of(shard)
        for number, (span, data) in enumerate(read_records(file, checked=checked)):
            example = decode_stored(data)
            # The first place with the same bytes serves as well as the feature's own.
            encoded = Encoded(str(file), span.offset + data.find(example.encoded), len(example.encoded))
            yield _Record(place, number, encoded, example)
    except DataError as error:
        yield Fault(place, None, "record", f"{place}: {str(error).removeprefix(f'{plain.of(shard).name}: ')}")
    except ValueError as error:
        hint = "; frames of Waymo's own schema must be exported as tf.Examples" if "segment-" in shard.name else ""
        message = f"{place}: record {number} is no tf.Example of a labelled image: {error}{hint}."
        yield Fault(place, None, "record", message)


class _Notice(NamedTuple):
    """What was decided for the whole set; told once."""

    sentence: str


class _Pairs:
    """Which ids stand beside which class texts in all records; read when it is first asked for."""

    def __init__(self, plain: _PlainShards) -> None:
        self._plain = plain

    @cached_property
    def found(self) -> Mapping[tuple[int, str], int]:
        """How often an id stands beside a text; -1 is no id, an empty text none."""
        found: Counter[tuple[int, str]] = Counter()
        for shard, _ in shards_of(self._plain.folder.path):
            for record in _examples(self._plain, shard, checked=False):
                if isinstance(record, Fault):
                    continue
                example = record.example
                texts = [one_spelling(text) if text.isprintable() else "" for text in _texts(example)]
                labels = example.labels.tolist() or [-1] * len(texts)
                found.update(zip(labels, texts, strict=False))
        return found

    def label_map(self) -> LabelMap:
        """Ids with their names as the records have them, counted from 1; sorted names where they have no ids of use."""
        texts = sorted({text for _, text in self.found if text})
        labels = {label for label, _ in self.found if label >= 0}
        named: dict[int, set[str]] = {}
        for label, text in self.found:
            if label >= 0:
                named.setdefault(label, set()).update({text} - {""})
        ambiguous = any(len(names) > 1 for names in named.values())
        if not labels or (texts and (ambiguous or len({n for names in named.values() for n in names}) < len(texts))):
            return make_label_map([dict(enumerate(texts, start=1))], self._plain.folder.path.name)
        shift = int(0 in labels and bool(texts))
        names = {
            label + shift: next(iter(found), f"class_{label}") for label, found in named.items() if label + shift > 0
        }
        return make_label_map([names], self._plain.folder.path.name)


class _Classes:
    """Label ids of the records' classes: a text that the label map knows decides, else the record's id."""

    def __init__(self, label_map: LabelMap, pairs: _Pairs) -> None:
        self._names, self._ids = label_map.names, label_map.ids
        self._pairs = pairs

    def label(self, label: int, text: str) -> tuple[int, str]:
        """Label id and name.

        Args:
            label: The record's own id; -1 where it has none.
            text: The record's own class text; empty where it has none.

        Raises:
            AnnotationError: The label map has no such class, or gives the id to another.
        """
        known = self._ids.get(text)
        if known is None:
            name = self._names.get(label)
            if name is None or text:
                rest = f'has the unknown class {label} "{shown(text)}"; the label map has: {listed(self._names)}'
                raise AnnotationError("class", rest)
            return label, name
        if label in (-1, known) or self.notice or label not in self._names:
            return known, text
        check = "label_offset" if abs(label - known) == 1 else "class"
        raise AnnotationError(
            check, f'says class {label} is "{shown(text)}", the label map says "{self._names[label]}"'
        )

    @cached_property
    def notice(self) -> str:
        """Why ids that contradict texts say nothing in this set; empty where they do say something."""
        found = [(label, self._ids[text]) for label, text in self._pairs.found if text in self._ids and label >= 0]
        labels = {label for label, _ in found}
        if found and all(label == known - 1 for label, known in found):
            return "The records' class ids count from 0; their class texts decide."
        if len(labels) == 1 and len(found) > 1:
            return f"Every record says class id {labels.pop()}, whatever its class text; the texts decide."
        return ""


def _labelled(record: _Record, split: str | None, classes: _Classes) -> Iterator[Entry | _Notice]:
    example = record.example
    width, height = example.width, example.height
    if width < 1 or height < 1:
        try:
            facts = read_header(record.encoded.load())
        except BrokenImageError as error:
            message = f"{record.named} states no image/width and image/height, and its image {error}; write it again."
            yield Fault(record.file, None, "image", message, image=record.named)
            return
        width, height = facts.width, facts.height
    texts, boxes = _texts(example), []
    in_pixels = _are_pixels(example.boxes, width, height)
    if in_pixels:
        yield _Notice("The records' box edges are pixels, as VoTT writes them, not shares of the image; read so.")
    edges = example.boxes.tolist() if in_pixels else _pixels(example.boxes, width, height)
    for number, (ymin, xmin, ymax, xmax) in enumerate(edges):
        where = f"box {number}"
        try:
            text = class_name(texts[number]) if texts[number] else ""
            own = int(example.labels[number]) if len(example.labels) else -1
            label, name = classes.label(own, text)
            if own not in (-1, label) and classes.notice:
                yield _Notice(classes.notice)
        except AnnotationError as error:
            message = f"{record.named}: {where} {error}."
            yield Fault(record.file, where, error.check, message, image=record.named)
            continue
        difficult, truncated, crowd = (
            bool(values[number]) for values in (example.difficult, example.truncated, example.crowd)
        )
        score = None if example.confidence is None else confidence(float(example.confidence[number]))
        stated = None if example.areas is None else area(float(example.areas[number]), (xmin, ymin, xmax, ymax))
        boxes.append(Box(xmin, ymin, xmax, ymax, label, name, where, difficult, truncated, crowd, score, stated))
    yield LabelledImage(
        source_id=example.source_id or example.filename or record.place,
        image=record.named,
        annotation=record.named,
        encoded=record.encoded,
        boxes=tuple(boxes),
        width=width,
        height=height,
        given_split=split,
        group=example.group or _drive(example.filename or example.source_id),
        written_as="stored shares",
        attributes=attributes(dict(example.attributes)),
    )


def _are_pixels(edges: Floats, width: int, height: int) -> bool:
    """Whether box edges that should be shares are pixels: well beyond every share, and within the image."""
    return bool(len(edges)) and bool(
        np.isfinite(edges).all()
        and (edges >= 0).all()
        and edges.max() > _GREATEST_SHARE
        and (edges <= np.array([height, width, height, width]) + 1).all()
    )


def _pixels(shares: Floats, width: int, height: int) -> list[list[float]]:
    """Edges in pixels: in thousandths where such a number has the very same float32 share, so 346 is not 345.99998."""
    size = np.array([height, width, height, width], np.float64)
    with np.errstate(all="ignore"):  # hostile shares may be infinite; the gate names such boxes
        exact = shares * size
        short = np.round(exact, 3)
        found: list[list[float]] = np.where((short / size).astype(np.float32) == shares, short, exact).tolist()
    return found


def _texts(example: DetectionExample) -> tuple[str, ...]:
    """The class names; empty ones where there is none for each box."""
    count = len(example.boxes)
    if len(example.names) != count:
        return ("",) * count
    return example.names


def _drive(name: str) -> str:
    match = _DRIVE.search(name.rsplit("/", 1)[-1])
    return match[0] if match else ""
