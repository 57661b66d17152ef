# SPDX-License-Identifier: Apache-2.0
"""CSV with a box a line: `filename,width,height,class,xmin,ymin,xmax,ymax`, edges in pixels.

The table that the tutorials' `generate_tfrecord.py` reads, as `xml_to_csv.py`, Roboflow ("Tensorflow Object Detection")
and VoTT write it; each gives some columns other names. A table's images lie beside it, in `images/`, or in a folder
that is named like the table.
Source: https://github.com/datitran/raccoon_dataset/blob/master/generate_tfrecord.py
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training_src.data.dataset import Dataset, Entry, Fault, labelled_file
from training_src.data.formats.classes import NamedBox, labelled_boxes
from training_src.data.formats.data_folder import DataFolder, split_folders
from training_src.data.formats.fields import AnnotationError, class_name, four_numbers, shown, size
from training_src.data.formats.image_address import image_path
from training_src.data.label_map import LabelMap, make_label_map
from training_src.data.spill import Spill
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "csv"

# A column's names, the tutorials' first.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "image": ("filename", "image", "image_path", "img_file", "file_name", "path"),
    "class": ("class", "label", "class_name", "name"),
    "xmin": ("xmin", "x_min", "x1", "left"),
    "ymin": ("ymin", "y_min", "y1", "top"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "width": ("width", "image_width"),
    "height": ("height", "image_height"),
    "split": ("split", "set", "subset"),
}
_NEEDED = ("image", "class", "xmin", "ymin", "xmax", "ymax")
_LONGEST_LINE = 1 << 16


def recognise(folder: Path) -> bool:
    """Whether there is a CSV file whose first line names an image, a class and four edges."""
    return any(True for _ in _tables(DataFolder(folder)))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every table; without a label map the class names, sorted, get the ids from 1."""
    inside = DataFolder(folder)
    tables = [_read(inside, table) for table in _tables(inside)]
    if not tables:
        needed = ", ".join(_COLUMNS[name][0] for name in _NEEDED)
        raise DataError(f"{folder.name} holds no CSV file whose first line names the columns {needed}.")
    if label_map is None:
        names = sorted(set().union(*(table.names for table in tables)))
        label_map = make_label_map([dict(enumerate(names, start=1))], folder.name)
    fixed, ids = label_map, label_map.ids

    def entries() -> Iterator[Entry]:
        for table in tables:
            yield from table.faults
            for name in table.rows.sorted_keys():
                yield from _labelled(inside, table, str(name), fixed, ids)

    return Dataset(NAME, label_map, entries)


@dataclass(frozen=True)
class _Table:
    """A CSV file that was found: its columns' places, and the split that its name or folder speaks of."""

    file: Path
    columns: Mapping[str, int]
    split: str | None


@dataclass
class _Rows:
    """A table's rows by image: line, class, edges, size, split, as texts."""

    table: _Table
    place: str
    rows: Spill
    names: set[str]
    faults: list[Fault]


def _tables(folder: DataFolder) -> Iterator[_Table]:
    roots: list[tuple[Path, str | None]] = [(folder.path, None)]
    for name in ("annotations", "data", "images"):
        roots += [(found, None)] if (found := folder.child(folder.path, name)) else []
    for root, split in [*roots, *split_folders(folder.path)]:
        for file in folder.files(root, (".csv",)):
            if columns := _columns(folder, file):
                yield _Table(file, columns, split or given_split(file.name))


def _columns(folder: DataFolder, file: Path) -> Mapping[str, int] | None:
    try:
        head = next((text for _, text in folder.lines(file)), "")
        written = [name.strip().lower() for name in next(csv.reader([head]), [])]
    except (AnnotationError, csv.Error, OSError):
        return None
    found = {
        column: next(written.index(name) for name in names if name in written)
        for column, names in _COLUMNS.items()
        if set(names) & set(written)
    }
    return found if set(_NEEDED) <= found.keys() else None


def _read(folder: DataFolder, table: _Table) -> _Rows:
    found = _Rows(table, folder.name(table.file), Spill(), set(), [])
    try:
        for number, fields in _lines(folder, table.file):
            try:
                values = {column: fields[at].strip() for column, at in table.columns.items()}
                name = class_name(values["class"]) if any(values[column] for column in _NEEDED[1:]) else ""
                if not values["image"].isprintable() or not values["image"]:
                    raise AnnotationError("annotation", f'has the file name "{shown(values["image"])}"')
            except IndexError:
                rest = f"has {len(fields)} values where the first line names more columns; export it again"
                found.faults.append(AnnotationError("annotation", rest).fault(found.place, f"line {number}"))
                continue
            except AnnotationError as error:
                found.faults.append(error.fault(found.place, f"line {number}"))
                continue
            if name:
                found.names.add(name)
            found.rows.add(values["image"], (number, values))
    except AnnotationError as error:
        found.faults.append(error.fault(found.place))
    return found


def _lines(folder: DataFolder, file: Path) -> Iterator[tuple[int, Sequence[str]]]:
    """The table's rows with their lines, the first one left out; no value holds a line break."""
    lines = folder.lines(file)
    next(lines, None)
    for number, text in lines:
        if len(text) > _LONGEST_LINE:
            raise AnnotationError(
                "annotation", f"has a line {number} of {len(text)} characters; this is no table of boxes"
            )
        try:
            yield number, next(csv.reader([text]), [])
        except csv.Error as error:
            raise AnnotationError("annotation", f"has the line {number}, which is no CSV: {error}") from None


def _labelled(
    folder: DataFolder, found: _Rows, name: str, label_map: LabelMap, ids: Mapping[str, int]
) -> Iterator[Entry]:
    rows = found.rows.rows(name)
    first, values = rows[0]
    try:
        image = image_path(folder, name, _places(folder, found.table))
        stated = size(values.get("width"), values.get("height"))
    except AnnotationError as error:
        yield error.fault(found.place, f"line {first}")
        return
    named: list[NamedBox] = []
    for number, each in rows:
        if not each["class"]:
            continue  # an image alone is background
        try:
            edges = four_numbers([each[edge] for edge in ("xmin", "ymin", "xmax", "ymax")])
            named.append(NamedBox(edges, class_name(each["class"]), f"line {number}"))
        except AnnotationError as error:
            yield error.fault(found.place, f"line {number}", folder.name_of(image))
    boxes = labelled_boxes(named, label_map, ids, found.place, folder.name_of(image))
    split = found.table.split or given_split(values.get("split", ""))
    yield from labelled_file(folder.name_of(image), image, found.place, boxes, stated, split)


def _places(folder: DataFolder, table: _Table) -> tuple[Path, ...]:
    """Where a table's images may lie: what is named like its split or like the table first."""
    parent, stem = table.file.parent, table.file.stem.removesuffix("_labels").removesuffix("_annotations")
    roots = dict.fromkeys((parent, folder.path))
    named = [root / inner / stem for root in roots for inner in ("", "images")]
    inner = [root / "images" for root in roots]
    return tuple(place for place in (*named, *inner, *roots) if place.is_dir())
