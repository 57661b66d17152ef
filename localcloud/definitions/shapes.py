# SPDX-License-Identifier: Apache-2.0
"""A value against a shape of the service model: required, unknown, type, enum, pattern, min and max.

botocore itself checks required, type and min; the rest only the service does, an hour later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from localcloud.definitions.expressions import is_expression
from localcloud.definitions.service_model import pattern

Limit = Literal["required", "unknown", "type", "enum", "min", "max", "pattern", "expression"]

NUMBERS = ("integer", "long", "float", "double")
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (str, int, float, datetime),
    "blob": (str, bytes),
    "list": (list,),
    "map": (Mapping,),
    "structure": (Mapping,),
}


class MapKey(str):
    """A key of a map, where it stands in a path; any other string there is the name of a structure's member."""

    __slots__ = ()


@dataclass(frozen=True)
class Violation:
    """A limit that a value breaks.

    Attributes:
        path: Members, items and keys that lead to the value.
        value: What stands there; None where something is missing.
        shape: The value's; where it is required or unknown, that of the structure around it.
        limit: Which one. An expression breaks none yet: what it stands for may.
        of_key: It is the map's key that breaks it, not what stands under the key.
    """

    path: tuple[str | int, ...]
    value: Any
    shape: Any
    limit: Limit
    of_key: bool = False


def violations(
    value: Any,
    shape: Any,
    path: tuple[str | int, ...] = (),
    *,
    supplied: frozenset[str] = frozenset(),
    expressions: bool = False,
) -> Iterator[Violation]:
    """Yield every limit that a value breaks.

    Args:
        value: What a call is given, or a part of it.
        shape: botocore's, of the call's input or of that part.
        path: Of the value.
        supplied: Required members that somebody else fills in.
        expressions: Whether the value is a definition's, and its expressions are to be told.
    """
    if expressions and is_expression(value):
        yield Violation(path, value, shape, "expression")
    elif not _is_of(value, shape.type_name):
        yield Violation(path, value, shape, "type")
    else:
        yield from exceeded(value, shape, path)
        if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
            yield from _of_structure(value, shape, path, supplied, expressions)
        elif shape.type_name == "list":
            for index, item in enumerate(value):
                yield from violations(item, shape.member, (*path, index), expressions=expressions)
        elif shape.type_name == "map":
            for key, item in value.items():
                inside = (*path, MapKey(key))
                for each in exceeded(key, shape.key, inside):
                    yield replace(each, of_key=True)
                yield from violations(item, shape.value, inside, expressions=expressions)


def exceeded(value: Any, shape: Any, path: tuple[str | int, ...] = ()) -> Iterator[Violation]:
    """Yield the limits that a value breaks by itself, without what is in it."""
    limits = shape.metadata
    if limits.get("enum") and value not in limits["enum"]:
        yield Violation(path, value, shape, "enum")
    size = (
        value if shape.type_name in NUMBERS else len(value) if isinstance(value, str | bytes | list | Mapping) else None
    )
    if size is not None and "min" in limits and size < limits["min"]:
        yield Violation(path, value, shape, "min")
    if size is not None and "max" in limits and size > limits["max"]:
        yield Violation(path, value, shape, "max")
    if isinstance(value, str) and limits.get("pattern") and not _matches(limits["pattern"], value):
        yield Violation(path, value, shape, "pattern")


def _of_structure(
    value: Mapping[str, Any], shape: Any, path: tuple[str | int, ...], supplied: frozenset[str], expressions: bool
) -> Iterator[Violation]:
    missing = [name for name in shape.required_members if value.get(name) is None and name not in supplied]
    for name in missing:
        yield Violation((*path, name), None, shape, "required")
    for name, item in value.items():
        if name not in shape.members:
            yield Violation((*path, name), item, shape, "unknown")
        elif name not in missing:
            yield from violations(item, shape.members[name], (*path, name), expressions=expressions)


def _is_of(value: Any, type_name: str) -> bool:
    if isinstance(value, bool):
        return type_name == "boolean"
    return isinstance(value, _PYTHON[type_name])


def _matches(expression: str, value: str) -> bool:
    try:
        return bool(pattern(expression).fullmatch(value))
    except re.error:  # a pattern that only Java reads
        return True
