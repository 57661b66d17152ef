# SPDX-License-Identifier: Apache-2.0
"""A request against its shape in the service model, in the words in which AWS refuses it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.model import Shape

from pipelines.check.service_model import pattern

_NUMBERS = ("integer", "long", "float", "double")


def violations(parameters: Mapping[str, Any], shape: Shape) -> str:
    """AWS's sentence on everything that breaks the shape's required, enum, pattern, min and max; empty if nothing does.

    Args:
        parameters: The request, as boto3 is given it.
        shape: The operation's input shape.
    """
    found = list(_structure(parameters, shape, ""))
    if not found:
        return ""
    return f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: {'; '.join(found)}"


def _structure(value: Mapping[str, Any], shape: Any, path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_inside(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, part in value.items():
        if name in shape.members and part is not None:
            yield from _value(part, shape.members[name], _inside(path, name))


def _value(value: Any, shape: Any, path: str) -> Iterator[str]:
    for constraint in _constraints(value, shape):
        yield f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: {constraint}"
    if shape.type_name == "structure" and isinstance(value, Mapping) and not getattr(shape, "is_document_type", False):
        yield from _structure(value, shape, path)
    elif shape.type_name == "list" and isinstance(value, list):
        for index, part in enumerate(value, 1):
            yield from _value(part, shape.member, f"{path}.{index}.member")
    elif shape.type_name == "map" and isinstance(value, Mapping):
        for key, part in value.items():
            for what, one, of in (("keys", key, shape.key), ("value", part, shape.value)):
                broken = list(_constraints(one, of))
                if broken:
                    yield (
                        f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: Map {what} must satisfy "
                        f"constraint: [{', '.join(broken)}]"
                    )
            if shape.value.type_name in ("structure", "list", "map"):
                yield from _value(part, shape.value, f"{path}.{key}.member")


def _constraints(value: Any, shape: Any) -> Iterator[str]:
    limits = shape.metadata
    if limits.get("enum") and value not in limits["enum"]:
        yield f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
    if shape.type_name in _NUMBERS:
        size, what = (value, "value") if isinstance(value, int | float) else (None, "")
    else:
        size, what = (len(value), "length") if isinstance(value, str | list | Mapping) else (None, "")
    if size is not None and "max" in limits and size > limits["max"]:
        yield f"Member must have {what} less than or equal to {limits['max']}"
    if size is not None and "min" in limits and size < limits["min"]:
        yield f"Member must have {what} greater than or equal to {limits['min']}"
    if isinstance(value, str) and limits.get("pattern") and not _matches(limits["pattern"], value):
        yield f"Member must satisfy regular expression pattern: {limits['pattern']}"


def _matches(expression: str, value: str) -> bool:
    try:
        return bool(pattern(expression).fullmatch(value))
    except re.error:  # a pattern that only Java reads
        return True


def _inside(path: str, name: str) -> str:
    return f"{path}.{name[0].lower()}{name[1:]}" if path else f"{name[0].lower()}{name[1:]}"


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 400 else f"{text[:397]}..."
