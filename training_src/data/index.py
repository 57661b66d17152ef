# SPDX-License-Identifier: Apache-2.0
"""The images of a data set that were checked, as rows of a SQLite file: memory holds none of them.

Many machines write one such file each; `merge` joins them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from training_src.data.checks.image import CheckedImage
from training_src.data.dataset import Box, Encoded

# An object as `Located.objects` has it, and the bits of its flags; its area is 0 where it is its box's own.
OBJECT = np.dtype(
    [
        ("xmin", "<f4"),
        ("ymin", "<f4"),
        ("xmax", "<f4"),
        ("ymax", "<f4"),
        ("label", "<i4"),
        ("flags", "<i4"),
        ("area", "<f4"),
    ]
)
DIFFICULT, TRUNCATED, CROWD = 1, 2, 4
_OBJECT = struct.Struct("<ffffiif")
_AREA = _OBJECT.size - 4  # where it begins

Objects = NDArray[Any]

_IMAGES = """
CREATE TABLE images (
    number INTEGER PRIMARY KEY, source_id TEXT, image TEXT, annotation TEXT, given TEXT, sequence TEXT, likely INTEGER,
    content TEXT, dhash INTEGER, brightness REAL, width INTEGER, height INTEGER, clipped INTEGER, dropped INTEGER,
    objects BLOB, attributes TEXT, digest BLOB, path TEXT, start INTEGER, length INTEGER, format TEXT, split INTEGER)
"""
_RECORDS = "CREATE TABLE records (number INTEGER PRIMARY KEY, annotation BLOB)"
_FACTS = "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT)"
_COLUMNS = 20  # those of an image that are known before its number and the splits are

Row = tuple[Any, ...]


def row(image: CheckedImage, size: int, annotation: bytes | None) -> Row:
    """What `Index.add` keeps of an image.

    Args:
        image: Sound.
        size: Of its file, in bytes.
        annotation: Its TFRecord without its bytes, see `records.example.encode_annotation`; None: none is kept.
    """
    labelled = image.labelled
    objects = list(map(_object, labelled.boxes))
    attributes = json.dumps(image.columns, sort_keys=True) if image.columns else ""
    seen = image.fingerprint
    encoded = labelled.encoded
    return (
        labelled.source_id,
        labelled.image,
        labelled.annotation,
        labelled.given_split,
        image.sequence,
        image.likely,
        image.content,
        seen.dhash if seen else None,
        seen.brightness if seen else None,
        labelled.width,
        labelled.height,
        image.clipped,
        image.dropped,
        b"".join(objects),
        attributes,
        _digest(image, objects, attributes),
        encoded.file,
        encoded.offset,
        size,
        image.format,
        annotation,
    )


def _digest(image: CheckedImage, objects: Sequence[bytes], attributes: str) -> bytes:
    """A hash of what training and evaluation see of an image; areas and attributes count only where they are stated."""
    named = f"{image.labelled.source_id}\0{image.content}\0".encode()
    areas = [packed[_AREA:] for packed in objects] if any(box.area for box in image.labelled.boxes) else []
    parts = (named, *(packed[:_AREA] for packed in objects), *areas, attributes.encode())
    return hashlib.sha256(b"".join(parts)).digest()[:16]


def _object(box: Box) -> bytes:
    flags = DIFFICULT * box.difficult | TRUNCATED * box.truncated | CROWD * box.crowd
    return _OBJECT.pack(box.xmin, box.ymin, box.xmax, box.ymax, box.label, flags, box.area or 0)


@dataclass(frozen=True)
class Located:
    """An image in the index, as far as it is shown.

    Attributes:
        split: Index into `splits.SPLITS`, or None.
    """

    source_id: str
    encoded: Encoded
    width: int
    height: int
    objects: Objects
    split: int | None


class Index:
    """The file. Close it after use, or use it in a `with`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        new = not file.exists()
        # In worker processes nothing is changed, and what is in here can be made again: no journal, no waiting.
        self.connection = sqlite3.connect(file)
        self.connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;")
        if new:
            self.connection.executescript(";".join((_IMAGES, _RECORDS, _FACTS)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; it stays."""
        self.connection.close()

    def add(self, rows: Iterable[Row]) -> None:
        """Add images, numbered as they come."""
        insert = f"INSERT INTO images VALUES (NULL, {','.join('?' * _COLUMNS)}, NULL)"
        for *columns, annotation in rows:
            number = self.connection.execute(insert, columns).lastrowid
            if annotation is not None:
                self.connection.execute("INSERT INTO records VALUES (?, ?)", (number, annotation))

    def set_fact(self, name: str, value: str) -> None:
        """Keep a text under a name."""
        self.connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def fact(self, name: str) -> str:
        """A text that was kept."""
        found = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def execute(self, statement: str, *parameters: object) -> None:
        """Change something."""
        self.connection.execute(statement, parameters)

    def number(self, query: str, *parameters: object) -> int:
        """The single number that a query gives; 0 for none."""
        found = self.connection.execute(query, parameters).fetchone()
        return int(found[0] or 0) if found else 0

    def rows(self, query: str, *parameters: object) -> Iterator[Row]:
        """What a query gives, row by row."""
        yield from self.connection.execute(query, parameters)

    def chunks(self, query: str, size: int) -> Iterator[list[Row]]:
        """What a query gives, so many rows at once."""
        cursor = self.connection.execute(query)
        while rows := cursor.fetchmany(size):
            yield rows

    def located(self, condition: str, *parameters: object) -> Iterator[Located]:
        """Images that fulfil a condition, such as `source_id = ?`."""
        columns = "source_id, path, start, length, width, height, objects, split"
        for source_id, path, start, length, width, height, objects, split in self.rows(
            f"SELECT {columns} FROM images WHERE {condition}", *parameters
        ):
            place = Encoded(path, start, length)
            yield Located(source_id, place, width, height, np.frombuffer(objects, OBJECT), split)

    def save(self) -> None:
        """Write down what was added."""
        self.connection.commit()

    def write_part(self, file: Path) -> None:
        """A copy without the records: all that judging the whole needs."""
        self.save()
        beside = file.with_name(file.name + ".partial")
        beside.unlink(missing_ok=True)
        with closing(sqlite3.connect(beside)) as part:
            part.executescript(";".join((_IMAGES, _RECORDS, _FACTS)))
        self.connection.execute("ATTACH ? AS part", (str(beside),))
        self.connection.execute("INSERT INTO part.images SELECT * FROM images")
        self.connection.execute("INSERT INTO part.facts SELECT * FROM facts")
        self.connection.commit()
        self.connection.execute("DETACH part")
        beside.replace(file)

    def merge(self, part: Path) -> None:
        """Take in the images of a part, under new numbers."""
        self.connection.execute("ATTACH ? AS part", (str(part),))
        first = self.number("SELECT max(number) + 1 FROM images")
        names = [name for (_, name, *_) in self.rows("PRAGMA table_info(images)") if name != "number"]
        columns = ", ".join(names)
        self.connection.execute(
            f"INSERT INTO images (number, {columns}) SELECT number + ?, {columns} FROM part.images", (first,)
        )
        self.connection.commit()
        self.connection.execute("DETACH part")
