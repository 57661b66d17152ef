# SPDX-License-Identifier: Apache-2.0
"""A value against a shape of the service model: required, unknown, type, enum, pattern, min and max.

botocore itself checks required, type and min; the rest only the service does, an hour later.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.model import Shape

from pipelines.check.expressions import is_expression
from pipelines.check.references import References
from pipelines.check.service_model import pattern

Finding = tuple[str, Any, str]
"""Path, value and rule."""

_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (str, int, float),
    "blob": (str,),
    "list": (list,),
    "map": (Mapping,),
    "structure": (Mapping,),
}
_TAKES: dict[str, tuple[str, ...]] = {
    "string": ("String",),
    "integer": ("Integer",),
    "long": ("Integer",),
    "float": ("Float", "Integer"),
    "double": ("Float", "Integer"),
    "boolean": ("Boolean",),
    "timestamp": ("String",),
    "blob": ("String",),
}


def shape_findings(
    value: Any, shape: Shape, path: str, references: References, supplied: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """Yield what is wrong with a value that a call takes.

    Args:
        value: With expressions in it, whose own faults are reported elsewhere.
        shape: Of the call's input, or of a part of it.
        path: Of the value.
        references: To know what an expression stands for.
        supplied: Required members that Pipelines fills in.
    """
    if is_expression(value):
        yield from _expression_findings(value, shape, path, references)
        return
    if not _is_of(value, shape.type_name):
        yield path, value, f"must be a {_article(shape.type_name)}"
        return
    yield from _limit_findings(value, shape, path)
    if shape.type_name == "structure":
        yield from _structure_findings(value, shape, path, references, supplied)
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from shape_findings(item, shape.member, f"{path}[{index}]", references)  # type: ignore[attr-defined]
    elif shape.type_name == "map":
        for name, item in value.items():
            yield from shape_findings(name, shape.key, f"{path}.{name}", references)  # type: ignore[attr-defined]
            yield from shape_findings(item, shape.value, f"{path}.{name}", references)  # type: ignore[attr-defined]


def _structure_findings(
    value: Mapping[str, Any], shape: Shape, path: str, references: References, supplied: frozenset[str]
) -> Iterator[Finding]:
    members: Mapping[str, Shape] = shape.members  # type: ignore[attr-defined]
    for name in shape.required_members:
        if name not in value and name not in supplied:
            yield f"{path}.{name}", None, f"is required in {shape.name}"
    for name, item in value.items():
        if name not in members:
            yield f"{path}.{name}", item, f"is unknown in {shape.name}, which has {', '.join(members)}"
        else:
            yield from shape_findings(item, members[name], f"{path}.{name}", references)


def _expression_findings(
    expression: Mapping[str, Any], shape: Shape, path: str, references: References
) -> Iterator[Finding]:
    resolved = references.resolve(expression)
    takes = _TAKES.get(shape.type_name, (shape.type_name,))
    if resolved.kind is not None and resolved.kind not in takes:
        yield path, dict(expression), f"is of type {resolved.kind}, but the argument takes {' or '.join(takes)}"
        return
    for example in resolved.examples:
        for _, _, rule in _limit_findings(example, shape, path):
            yield path, dict(expression), f"would be {example!r}, which {rule}"


def _limit_findings(value: Any, shape: Shape, path: str) -> Iterator[Finding]:
    limits = shape.metadata
    if limits.get("enum") and value not in limits["enum"]:
        yield path, value, f"must be a {shape.name} that SageMaker knows ({_some(limits['enum'])})"
    size, unit = (value, "") if shape.type_name in ("integer", "long", "float", "double") else _size(value)
    if size is not None and "min" in limits and size < limits["min"]:
        yield path, value, f"must be at least {limits['min']}{unit}"
    if size is not None and "max" in limits and size > limits["max"]:
        yield path, value, f"must be at most {limits['max']}{unit}"
    if isinstance(value, str) and limits.get("pattern") and not pattern(limits["pattern"]).fullmatch(value):
        yield path, value, f"must match {limits['pattern']}"


def _size(value: Any) -> tuple[int | None, str]:
    if isinstance(value, str):
        return len(value), " characters long"
    if isinstance(value, list | Mapping):
        return len(value), " long"
    return None, ""


def _is_of(value: Any, type_name: str) -> bool:
    if isinstance(value, bool):
        return type_name == "boolean"
    return isinstance(value, _PYTHON[type_name])


def _article(type_name: str) -> str:
    return {"map": "map of strings", "structure": "structure (an object)"}.get(type_name, type_name)


def _some(values: list[str], shown: int = 8) -> str:
    return ", ".join(values[:shown]) + (f" and {len(values) - shown} more" if len(values) > shown else "")
