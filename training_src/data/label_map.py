# SPDX-License-Identifier: Apache-2.0
"""Label maps: which id stands for which class. Ids start at 1 and may have gaps.

Source: https://github.com/tensorflow/models/blob/master/research/object_detection/protos/string_int_label_map.proto
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from containers.contract.files import write_whole
from training_src.class_names import look_alikes, one_spelling
from training_src.errors import DataError, TextFormatError
from training_src.text_format import Message, decoded, dump, parse

# By this name an item may have the id 0, and is no class: `_validate_label_map` in
# https://github.com/tensorflow/models/blob/master/research/object_detection/utils/label_map_util.py
BACKGROUND = "background"
# The proto's field is an int32.
GREATEST_ID = 2**31 - 1
# Of a class, in characters.
LONGEST_NAME = 200


@dataclass(frozen=True)
class LabelMap:
    """Names by id, in the order of the ids."""

    names: Mapping[int, str]

    @property
    def ids(self) -> Mapping[str, int]:
        """Ids by name."""
        return {name: number for number, name in self.names.items()}

    @property
    def greatest_id(self) -> int:
        """What a model's `num_classes` must reach: it has one output for every id up to this one."""
        return max(self.names)


def read_label_map(file: Path) -> LabelMap:
    """Read a `label_map.pbtxt`.

    Raises:
        DataError: The file breaks the grammar, or an item has no id or name, or one that another item has.
    """
    try:
        return parse_label_map(file.read_bytes(), file.name)
    except OSError as error:
        raise DataError(f"{file.name} is no label map: {error}") from None


def parse_label_map(content: bytes, name: str) -> LabelMap:
    """The label map that the bytes of a `label_map.pbtxt` hold.

    Args:
        content: The bytes.
        name: The file's, for messages.

    Raises:
        DataError: As `read_label_map`.
    """
    try:
        items = parse(decoded(content, name), name).get("item", [])
    except (TextFormatError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise DataError(f"{name} is no label map: {error}") from None
    except RecursionError:
        raise DataError(f"{name} is no label map: it nests too deeply.") from None
    names: dict[int, str] = {}
    for position, item in enumerate(items):
        fields = item if isinstance(item, Message) else Message()
        number, called = fields.get("id", [None])[-1], fields.get("name", fields.get("display_name", [None]))[-1]
        if number in (None, 0) and BACKGROUND in (called, fields.get("display_name", [None])[-1]):
            continue
        if not isinstance(number, int) or not 1 <= number <= GREATEST_ID:
            raise DataError(f"{name}: item {position} has the id {number}; ids start at 1 (0 is the background).")
        if not isinstance(called, str) or not called.isprintable() or not 0 < len(called) <= LONGEST_NAME:
            raise DataError(
                f"{name}: item {position} (id {number}) has no name of 1 to {LONGEST_NAME} printable characters."
            )
        called = one_spelling(called)
        if not called:
            raise DataError(f"{name}: item {position} (id {number}) has a name of blanks only.")
        if number in names or called in names.values():
            raise DataError(f'{name}: id {number} or name "{called}" stands twice; each class needs one of its own.')
        names[number] = called
    if not names:
        raise DataError(f"{name} names no class; write `item {{ id: 1 name: 'vehicle' }}` for each.")
    refuse_look_alikes(names.values(), name)
    return LabelMap(dict(sorted(names.items())))


def make_label_map(lists: Sequence[Mapping[int, str]], source: str) -> LabelMap:
    """The label map of a data set that brings none, whatever order its files are read in.

    Args:
        lists: Names by label id, as each file has them. Where files contradict each other, the names, sorted, get
            the ids from 1.
        source: The data set's name, for errors.

    Raises:
        DataError: An id is no label id, or one list gives a name to two ids.
    """
    merged: dict[int, str] = {}
    agree = True
    lists = [{number: one_spelling(name) for number, name in names.items()} for names in lists]
    for names in lists:
        for number, name in names.items():
            if not 1 <= number <= GREATEST_ID:
                raise DataError(f'{source}: the class "{name}" has the label id {number}; ids start at 1.')
            agree = agree and merged.setdefault(number, name) == name
        if len(set(names.values())) < len(names):
            twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
            raise DataError(f'{source} gives the class name "{twice}" to several ids; add a label_map.pbtxt.')
    if not agree or len(set(merged.values())) < len(merged):
        merged = dict(enumerate(sorted({name for names in lists for name in names.values()}), start=1))
    refuse_look_alikes(merged.values(), source)
    return LabelMap(dict(sorted(merged.items())))


def refuse_look_alikes(names: Iterable[str], source: str) -> None:
    """Refuse two classes whose names nobody can tell apart by looking at them.

    Raises:
        DataError: There are two; it names both, with the characters in which they differ.
    """
    found = look_alikes(names)
    if found is not None:
        one, other = found
        raise DataError(
            f'{source}: the classes "{one}" and "{other}" look alike and are written with other characters '
            f"({one!a} and {other!a}); give the class one name."
        )


def write_label_map(label_map: LabelMap, file: Path) -> None:
    """Write a `label_map.pbtxt`."""
    items = [Message({"id": [number], "name": [name]}) for number, name in label_map.names.items()]
    write_whole(file, dump(Message({"item": list(items)})))
