# SPDX-License-Identifier: Apache-2.0
"""A request against its shape in the service model, in the words in which AWS refuses it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import groupby
from operator import getitem
from typing import Any

from botocore.model import Shape

from localcloud.definitions.shapes import NUMBERS, MapKey, Violation, violations


def validation_errors(parameters: Mapping[str, Any], shape: Shape) -> str:
    """AWS's sentence on everything that breaks the shape's required, enum, pattern, min and max; empty if nothing does.

    Args:
        parameters: The request, as boto3 is given it.
        shape: The operation's input shape.
    """
    found = list(_sentences(parameters, shape))
    if not found:
        return ""
    return f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: {'; '.join(found)}"


def _sentences(parameters: Mapping[str, Any], shape: Shape) -> Iterator[str]:
    broken = (each for each in violations(parameters, shape) if each.limit not in ("type", "unknown"))
    for (path, of_key), group in groupby(broken, lambda each: (each.path, each.of_key)):
        each = list(group)
        constraints, value = [_constraint(one) for one in each], each[0].value
        if isinstance(path[-1], MapKey):  # told of the whole map, all at once
            path, value = path[:-1], reduce(getitem, path[:-1], parameters)
            what = "keys" if of_key else "value"
            constraints = [f"Map {what} must satisfy constraint: [{', '.join(constraints)}]"]
        for constraint in constraints:
            yield f"Value {_shown(value)} at '{_where(path)}' failed to satisfy constraint: {constraint}"


def _constraint(broken: Violation) -> str:
    limits = broken.shape.metadata
    what = "value" if broken.shape.type_name in NUMBERS else "length"
    match broken.limit:
        case "enum":
            return f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
        case "max":
            return f"Member must have {what} less than or equal to {limits['max']}"
        case "min":
            return f"Member must have {what} greater than or equal to {limits['min']}"
        case "pattern":
            return f"Member must satisfy regular expression pattern: {limits['pattern']}"
    return "Member must not be null"


def _where(path: tuple[str | int, ...]) -> str:
    parts = (
        f"{part + 1}.member"
        if isinstance(part, int)
        else f"{part}.member"
        if isinstance(part, MapKey)
        else part[0].lower() + part[1:]
        for part in path
    )
    return ".".join(parts)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    text = str(value)
    return f"'{text if len(text) <= 400 else text[:397] + '...'}'"
