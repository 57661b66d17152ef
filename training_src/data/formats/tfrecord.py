# SPDX-License-Identifier: Apache-2.0
"""TFRecord files of the TF Object Detection API's tf.Examples; file or folder names tell the splits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from training_src.data.dataset import Box, Dataset, Encoded, Entry, Fault, LabelledImage
from training_src.data.example import DetectionExample, decode
from training_src.data.label_map import LabelMap
from training_src.data.splits import given_split
from training_src.data.tfrecord import read_records
from training_src.errors import DataError

NAME = "tfrecord"

_SHARD = re.compile(r"\.(tf)?records?(-\d{5}-of-\d{5})?$")


def recognise(folder: Path) -> bool:
    """Whether the folder, or a split's folder in it, holds `*.record` or `*.tfrecord` files."""
    return any(_shards(folder))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every record's annotation and remember where its image lies."""
    faults: list[Fault] = []
    found: list[tuple[str, str | None, Encoded, DetectionExample]] = []
    for shard, split in _shards(folder):
        place = shard.relative_to(folder).as_posix()
        if shard.stat().st_size == 0:
            faults.append(Fault(place, None, "empty", f"{place} is empty; write it again, or remove it."))
        try:
            for number, (span, data) in enumerate(read_records(shard)):
                example = decode(data)
                encoded = Encoded(shard, span.offset + data.find(example.encoded), len(example.encoded))
                found.append((f"{place}: record {number}", split, encoded, replace(example, encoded=b"")))
        except DataError as error:
            faults.append(Fault(place, None, "record", f"{place}: {error}"))
        except ValueError as error:
            message = f"{place}: record {number} is no tf.Example of a labelled image: {error}."
            faults.append(Fault(place, None, "record", message))
    label_map = label_map or _made_label_map(folder, [example for *_, example in found])
    images = [
        _labelled(folder, split, encoded, place, example, label_map, faults) for place, split, encoded, example in found
    ]
    entries: tuple[Entry, ...] = (*images, *faults)
    return Dataset(NAME, label_map, lambda: iter(entries))


def _shards(folder: Path) -> Iterator[tuple[Path, str | None]]:
    for child in sorted(folder.iterdir()):
        if child.is_file() and _SHARD.search(child.name):
            yield child, given_split(child.name)
        elif child.is_dir() and given_split(child.name):
            for file in sorted(child.iterdir()):
                if file.is_file() and _SHARD.search(file.name):
                    yield file, given_split(child.name)


def _made_label_map(folder: Path, examples: list[DetectionExample]) -> LabelMap:
    names: dict[int, str] = {}
    for example in examples:
        texts = example.names if len(example.names) == len(example.labels) else ("",) * len(example.labels)
        for label, text in zip(example.labels.tolist(), texts, strict=True):
            names.setdefault(label, text or f"class_{label}")
    names = {label: name for label, name in sorted(names.items()) if label > 0}
    if len(set(names.values())) < len(names):
        raise DataError(f"{folder.name}: its records give one class name to several ids; add a label_map.pbtxt.")
    return LabelMap(names)


def _labelled(
    folder: Path,
    split: str | None,
    encoded: Encoded,
    place: str,
    example: DetectionExample,
    label_map: LabelMap,
    faults: list[Fault],
) -> LabelledImage:
    file = encoded.path.relative_to(folder).as_posix()
    named = f'{place} ("{example.filename or example.source_id}")'
    boxes = []
    for number, edges in enumerate(example.boxes.tolist()):
        where = f"box {number}"
        fault, name = "", ""
        label = int(example.labels[number]) if len(example.labels) else label_map.ids.get(_text(example, number), 0)
        if label not in label_map.names:
            fault = f'has the unknown class {label} "{_text(example, number)}"; the label map has: {_shown(label_map)}'
        else:
            name = label_map.names[label]
            if _text(example, number) not in ("", name):
                fault = f'says class {label} is "{_text(example, number)}", the label map says "{name}"'
        if fault:
            faults.append(Fault(file, where, "class", f"{named}: {where} {fault}."))
            continue
        ymin, xmin, ymax, xmax = edges
        width, height = example.width or 1, example.height or 1
        boxes.append(
            Box(
                xmin * width,
                ymin * height,
                xmax * width,
                ymax * height,
                label,
                name,
                where,
                difficult=bool(example.difficult[number]),
                truncated=bool(example.truncated[number]),
                crowd=bool(example.crowd[number]),
            )
        )
    if not example.width or not example.height:
        faults.append(Fault(file, None, "size", f"{named} states no image/width and image/height; write them."))
    return LabelledImage(
        source_id=example.source_id or example.filename or place,
        image=named,
        annotation=named,
        encoded=encoded,
        boxes=tuple(boxes),
        width=example.width,
        height=example.height,
        given_split=split,
    )


def _text(example: DetectionExample, number: int) -> str:
    return example.names[number] if len(example.names) == len(example.boxes) else ""


def _shown(label_map: LabelMap) -> str:
    return ", ".join(f"{number} ({name})" for number, name in label_map.names.items())
