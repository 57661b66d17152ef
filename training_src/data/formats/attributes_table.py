# SPDX-License-Identifier: Apache-2.0
"""`attributes.csv` in a data set of any layout: what is known of each image beside its boxes, such as its camera.

The first column is `image`, the image's name relative to the data set's folder; the others are named by what they say.
A test set is sliced by them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from training_src.data.dataset import Dataset, Entry, Fault, LabelledImage
from training_src.data.formats.data_folder import DataFolder
from training_src.data.formats.fields import AnnotationError, attributes, shown
from training_src.data.spill import Spill
from training_src.errors import DataError

FILE = "attributes.csv"


def with_table(dataset: Dataset, folder: Path) -> Dataset:
    """The data set with what its table says of its images; the same where it has none.

    Raises:
        DataError: The table cannot be read, names an image twice, or a row has other columns than the first one says.
    """
    if not (folder / FILE).is_file():
        return dataset
    table = _read(DataFolder(folder))

    def entries() -> Iterator[Entry]:
        named = 0
        for entry in dataset.entries():
            if isinstance(entry, LabelledImage) and (rows := table.rows(entry.source_id)):
                named += 1
                entry = replace(entry, attributes={**entry.attributes, **rows[0]})
            yield entry
        if missing := table.rows("")[0] - named:
            rest = f"names {missing} images that the data set does not have; write names as {_example(dataset)}"
            # Of several machines each has only its own.
            yield Fault(FILE, None, "missing_image", f"{FILE} {rest}.")

    return replace(dataset, entries=entries)


def _read(folder: DataFolder) -> Spill:
    """Rows by the image's name, and under the empty name how many there are."""
    table, count = Spill(), 0
    try:
        lines = folder.lines(folder.path / FILE)
        header = next(csv.reader([next(lines, (0, ""))[1]]), [])
        columns = [name.strip() for name in header]
        if columns[:1] != ["image"] or len(columns) < 2 or len(set(columns)) < len(columns) or not all(columns):
            rest = f'must begin with a line such as "image,camera,hour"; it begins with {shown(",".join(header))}'
            raise AnnotationError("annotation", rest)
        for number, line in lines:
            values = next(csv.reader([line]), [])
            name = values[0].strip() if values else ""
            if len(values) != len(columns) or not name:
                rest = f"has a line {number} of {len(values)} columns; the first line names {len(columns)}"
                raise AnnotationError("annotation", rest)
            if name in table:
                raise AnnotationError("annotation", f'has "{shown(name)}" twice, at last in line {number}; keep one')
            table.add(name, attributes(dict(zip(columns[1:], values[1:], strict=True))))
            count += 1
    except (AnnotationError, csv.Error) as error:
        raise DataError(f"{FILE} {error}.") from None
    table.add("", count)
    return table


def _example(dataset: Dataset) -> str:
    for entry in dataset.entries():
        if isinstance(entry, LabelledImage):
            return f'"{shown(entry.source_id)}"'
    return "the annotations write them"
