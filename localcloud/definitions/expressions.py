# SPDX-License-Identifier: Apache-2.0
"""The expressions that a definition may hold instead of a value: `Get`, `Std:Join` and `Std:JsonGet`.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-properties.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

FUNCTIONS = ("Get", "Std:Join", "Std:JsonGet")


class ExpressionError(ValueError):
    """An expression that stands for nothing.

    Args:
        value: The part that is at fault.
        rule: What is wrong with it.
    """

    def __init__(self, value: Any, rule: str) -> None:
        super().__init__(f"{value}: {rule}")
        self.value = value
        self.rule = rule


@dataclass(frozen=True)
class Reference:
    """`Get`: a parameter, a variable of the execution, or what a step has.

    Attributes:
        root: "Parameters", "Execution" or "Steps".
        name: Of the parameter, the variable or the step.
        path: To a part of what the step's `Describe*` call answers, or `PropertyFiles` and the name of a JSON file.
    """

    root: str
    name: str
    path: tuple[str | int, ...] = ()

    @property
    def is_file(self) -> bool:
        """Whether it names a property file that a step declares."""
        return len(self.path) == 2 and self.path[0] == "PropertyFiles"


@dataclass(frozen=True)
class Join:
    """`Std:Join`: values, expressions among them, with a string between each two."""

    on: str
    values: list[Any]


@dataclass(frozen=True)
class JsonGet:
    """`Std:JsonGet`: what stands at a path of a property file, or of the document at an S3 URI."""

    source: Reference | Any
    path: str


def is_expression(value: Any) -> bool:
    """Return whether a value is a `Get`, a `Std:Join` or a `Std:JsonGet`."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in FUNCTIONS


def expressions(value: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the path and the expression of each one in a value, those inside other expressions too."""
    if isinstance(value, Mapping):
        if is_expression(value):
            yield path, value
        for name, item in value.items():
            yield from expressions(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from expressions(item, f"{path}[{index}]")


def referred_steps(value: Any) -> set[str]:
    """Return the names of the steps that expressions in a value refer to."""
    references = (str(expression.get("Get", "")) for _, expression in expressions(value))
    return {found[1] for reference in references if (found := re.match(r"Steps\.([^.\[]+)", reference))}


def read(expression: Mapping[str, Any]) -> Reference | Join | JsonGet:
    """Return what an expression says; expressions inside it stay as they are.

    Raises:
        ExpressionError: It is not of the form that SageMaker takes.
    """
    ((function, argument),) = expression.items()
    if function == "Get":
        return _reference(argument)
    return _join(argument) if function == "Std:Join" else _json_get(argument)


def select(document: Any, path: str) -> Any:
    """Return what stands at a JSON path such as `gate.rules[0]['per class']` or `$.gate.passed`.

    Raises:
        ExpressionError: Nothing is there.
    """
    found = document
    for token in tokens(path.removeprefix("$").removeprefix(".")):
        found = member(found, token, path)
    return found


def member(value: Any, token: str | int, path: str) -> Any:
    """Return a member or an item of a value; items also go by their names, as `Outputs['train']`.

    Raises:
        ExpressionError: There is none; it names the path.
    """
    if isinstance(value, dict) and token in value:
        return value[token]
    if isinstance(value, list) and isinstance(token, int) and token < len(value):
        return value[token]
    if isinstance(value, list) and isinstance(token, str):
        for item in value:
            if isinstance(item, dict) and token in [each for key, each in item.items() if key.endswith("Name")]:
                return item
    raise ExpressionError(path, f"does not exist: there is no {token!r} in it")


def tokens(path: str) -> list[str | int]:
    """Return the parts of a path: `Outputs['train'].S3Output` is `Outputs`, `train`, `S3Output`.

    Raises:
        ExpressionError: It is no path.
    """
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if not match:
            raise ExpressionError(path, f"does not parse at {path[position:]!r}")
        parts.append(
            int(match["index"]) if match["index"] else match["single"] or match["double"] or match["name"] or ""
        )
        position = match.end()
    return parts


_TOKEN = re.compile(
    r"\.?(?P<name>[^.\[\]'\"]+)|\[(?:(?P<index>\d+)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")\]",
)


def _reference(reference: Any) -> Reference:
    if not isinstance(reference, str):
        raise ExpressionError(reference, "Get takes a string")
    root, _, rest = reference.partition(".")
    if root not in ("Parameters", "Execution", "Steps"):
        raise ExpressionError(reference, "must refer to Parameters, Execution or Steps")
    if root != "Steps":
        return Reference(root, rest)
    step, _, path = rest.partition(".")
    if path.startswith("PropertyFiles."):
        return Reference(root, step, ("PropertyFiles", path.removeprefix("PropertyFiles.")))
    return Reference(root, step, tuple(tokens(path)))


def _join(argument: Any) -> Join:
    if not isinstance(argument, Mapping) or set(argument) != {"On", "Values"}:
        raise ExpressionError(argument, "Std:Join takes On and Values")
    if not isinstance(argument["On"], str) or not isinstance(argument["Values"], list):
        raise ExpressionError(argument, "Std:Join takes a string On and a list of Values")
    for value in argument["Values"]:
        if isinstance(value, list) or (isinstance(value, Mapping) and not is_expression(value)):
            raise ExpressionError(value, "Std:Join joins strings, numbers and expressions only")
    return Join(argument["On"], argument["Values"])


def _json_get(argument: Any) -> JsonGet:
    if not isinstance(argument, Mapping) or not isinstance(argument.get("Path"), str) or not argument["Path"]:
        raise ExpressionError(argument, "Std:JsonGet takes a Path, which is a string and no expression")
    if ("PropertyFile" in argument) == ("S3Uri" in argument):
        raise ExpressionError(argument, "Std:JsonGet takes either a PropertyFile or an S3Uri")
    if "S3Uri" in argument:
        return JsonGet(argument["S3Uri"], argument["Path"])
    reference = argument["PropertyFile"]
    file = read(reference) if is_expression(reference) else None
    if not isinstance(file, Reference) or not file.is_file:
        raise ExpressionError(reference, "must be a Get of Steps.<step>.PropertyFiles.<name>")
    return JsonGet(file, argument["Path"])
