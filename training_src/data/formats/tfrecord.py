# SPDX-License-Identifier: Apache-2.0
"""TFRecord files of the TF Object Detection API's tf.Examples; file or folder names tell the splits.

Several shards (`train.record-00000-of-00010`), also compressed with GZIP, and the exports of Waymo's frames, whose
drive becomes the group that no split may tear apart.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from containers.contract.tf_example import Floats
from containers.contract.tfrecord import read_records
from training_src.data.dataset import Box, Dataset, Encoded, Entry, Fault, LabelledImage
from training_src.data.formats.classes import listed
from training_src.data.formats.data_folder import DataFolder
from training_src.data.formats.fields import AnnotationError, area, attributes, class_name, confidence, shown
from training_src.data.images import BrokenImageError, read_header
from training_src.data.label_map import LabelMap, make_label_map
from training_src.data.records.compression import decompress, is_compressed
from training_src.data.records.example import DetectionExample, decode_stored
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "tfrecord"

_SHARD = re.compile(r"(\.(tf)?records?(-\d{5}-of-\d{5})?|-\d{5}-of-\d{5}(\.(tf)?records?)?)(\.gz)?$")
_NUMBERED = re.compile(r"^(.*-)(\d{5})(-of-(\d{5}).*)$")
# Waymo's names of drives: segment-<context>_with_camera_labels.tfrecord, and the images' names made from it.
_DRIVE = re.compile(r"segment-\d+(_\d+){4}|^\d{15,20}(_\d+){4}")

# Entries name places in decompressed shards and may outlive their data set, so these folders go with the process.
_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def recognise(folder: Path) -> bool:
    """Whether the folder, or a split's folder in it, holds `*.record`, `*.tfrecord` or numbered shards."""
    return any(_shards(folder))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every record's annotation and remember where its image lies."""
    plain = _PlainShards(DataFolder(folder))
    if not any(_shards(folder)):
        raise DataError(f"{folder.name} holds no *.record or *.tfrecord file.")
    if label_map is None:
        label_map = _made_label_map(plain)
    fixed, ids = label_map, label_map.ids

    def entries() -> Iterator[Entry]:
        yield from _missing_shards(folder)
        for shard, split in _shards(folder):
            for found in _examples(plain, shard):
                if isinstance(found, Fault):
                    yield found
                else:
                    yield from _labelled(found, split, fixed, ids)

    return Dataset(NAME, label_map, entries)


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


def _shards(folder: Path) -> Iterator[tuple[Path, str | None]]:
    for child in sorted(folder.iterdir()):
        if child.is_file() and _SHARD.search(child.name):
            yield child, given_split(child.name)
        elif child.is_dir() and given_split(child.name):
            for file in sorted(child.iterdir()):
                if file.is_file() and _SHARD.search(file.name):
                    yield file, given_split(child.name)


def _missing_shards(folder: Path) -> Iterator[Fault]:
    """Shards that the names of others announce."""
    numbers: dict[tuple[Path, str, str, int], set[int]] = {}
    for shard, _ in _shards(folder):
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
        yield Fault(place, None, "record", f"{place}: {error}")
    except ValueError as error:
        hint = "; frames of Waymo's own schema must be exported as tf.Examples" if "segment-" in shard.name else ""
        message = f"{place}: record {number} is no tf.Example of a labelled image: {error}{hint}."
        yield Fault(place, None, "record", message)


def _made_label_map(plain: _PlainShards) -> LabelMap:
    """Ids with their names as the records have them; sorted names where they have no ids."""
    names: dict[int, str] = {}
    texts: set[str] = set()
    for shard, _ in _shards(plain.folder.path):
        for record in _examples(plain, shard, checked=False):
            if isinstance(record, Fault):
                continue
            example = record.example
            named = [text.strip() if text.isprintable() else "" for text in _texts(example)]
            texts.update(text for text in named if text)
            for label, text in zip(example.labels.tolist(), named, strict=False):
                if label > 0:
                    names.setdefault(label, text or f"class_{label}")
    return make_label_map([names or dict(enumerate(sorted(texts), start=1))], plain.folder.path.name)


def _labelled(record: _Record, split: str | None, label_map: LabelMap, ids: Mapping[str, int]) -> Iterator[Entry]:
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
    for number, (ymin, xmin, ymax, xmax) in enumerate(_pixels(example.boxes, width, height)):
        where = f"box {number}"
        try:
            text = class_name(texts[number]) if texts[number] else ""
            label = int(example.labels[number]) if len(example.labels) else ids.get(text, 0)
            name = _class(label, text, label_map, ids)
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


def _pixels(shares: Floats, width: int, height: int) -> list[list[float]]:
    """Edges in pixels: in thousandths where such a number has the very same float32 share, so 346 is not 345.99998."""
    size = np.array([height, width, height, width], np.float64)
    with np.errstate(all="ignore"):  # hostile shares may be infinite; the gate names such boxes
        exact = shares * size
        short = np.round(exact, 3)
        found: list[list[float]] = np.where((short / size).astype(np.float32) == shares, short, exact).tolist()
    return found


def _class(label: int, text: str, label_map: LabelMap, ids: Mapping[str, int]) -> str:
    """The name of a label id, which the record's own text must not contradict."""
    name = label_map.names.get(label)
    if name is None:
        rest = f'has the unknown class {label} "{shown(text)}"; the label map has: {listed(label_map.names)}'
        raise AnnotationError("class", rest)
    if text in ("", name):
        return name
    near = abs(ids.get(text, label + 9) - label) == 1
    check = "label_offset" if near else "class"
    raise AnnotationError(check, f'says class {label} is "{shown(text)}", the label map says "{name}"')


def _texts(example: DetectionExample) -> tuple[str, ...]:
    """The class names; empty ones where there is none for each box."""
    count = len(example.boxes)
    if len(example.names) != count:
        return ("",) * count
    return example.names


def _drive(name: str) -> str:
    match = _DRIVE.search(name.rsplit("/", 1)[-1])
    return match[0] if match else ""
