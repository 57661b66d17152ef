# SPDX-License-Identifier: Apache-2.0
"""The expressions of a pipeline definition: `Get`, `Std:Join`, `Std:JsonGet`, and a Condition step's conditions.

Pure: what the outside knows comes in as a `Scope`.
https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-properties.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


class ExpressionError(ValueError):
    """An expression that has no value; the step that holds it fails with this sentence."""


@dataclass(frozen=True)
class Scope:
    """What expressions may refer to.

    Attributes:
        parameters: Pipeline parameters, typed.
        execution: The `Execution.*` variables.
        steps: Finished steps' properties: what `Describe*` answered, `OutputParameters` as a dict.
        read_json: Reads the JSON document of a property file (step, property file) or of an S3 URI.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    execution: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Any] = field(default_factory=dict)
    read_json: Callable[[PropertyFile | str], Any] = lambda _: None


@dataclass(frozen=True)
class PropertyFile:
    """A property file that a step declares."""

    step: str
    name: str


def evaluate(value: Any, scope: Scope) -> Any:
    """`value` with every expression in it replaced by what it stands for.

    Args:
        value: Part of a definition, as JSON.
        scope: What may be referred to.

    Raises:
        ExpressionError: A reference to nothing.
    """
    if isinstance(value, list):
        return [evaluate(item, scope) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Get":
            return _get(argument, scope)
        if function == "Std:Join":
            return _join(argument, scope)
        if function == "Std:JsonGet":
            return _json_get(argument, scope)
    return {key: evaluate(item, scope) for key, item in value.items()}


def holds(condition: Mapping[str, Any], scope: Scope) -> bool:
    """Whether one condition of a Condition step is true.

    Raises:
        ExpressionError: An operand is missing or null, or the operands cannot be compared: the step fails.
    """
    kind = condition.get("Type")
    if kind == "Not":
        return not holds(condition["Expression"], scope)
    if kind == "Or":
        return any(holds(each, scope) for each in condition["Conditions"])
    if kind == "In":
        sought = _operand(condition["QueryValue"], scope)
        return any(_same(sought, _operand(each, scope)) for each in condition["Values"])
    left, right = _operand(condition["LeftValue"], scope), _operand(condition["RightValue"], scope)
    if kind == "Equals":
        return _same(left, right)
    if kind not in _ORDERS:
        raise ExpressionError(f"a condition of type {kind!r} is unknown to SageMaker Pipelines")
    if not (_is_number(left) and _is_number(right)) and not (isinstance(left, str) and isinstance(right, str)):
        raise ExpressionError(f"{kind} cannot compare {left!r} with {right!r}: both must be numbers, or both strings")
    return bool(_ORDERS[kind](left, right))


def referred_steps(value: Any) -> set[str]:
    """Names of the steps whose properties `value` refers to."""
    return {match[1] for reference in _references(value) if (match := re.match(r"Steps\.([^.\[]+)", reference))}


def select(document: Any, path: str) -> Any:
    """The value at a JSON path such as `gate.rules[0]['per class']` or `$.gate.passed`.

    Raises:
        ExpressionError: Nothing is there.
    """
    found = document
    for token in tokens(path.removeprefix("$").removeprefix(".")):
        found = _member(found, token, path)
    return found


def tokens(path: str) -> list[str | int]:
    """The parts of a property path: `Outputs['train'].S3Output` is `Outputs`, `train`, `S3Output`.

    Raises:
        ExpressionError: The path does not parse.
    """
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if not match:
            raise ExpressionError(f"the path {path!r} does not parse at {path[position:]!r}")
        parts.append(int(match["index"]) if match["index"] else match["single"] or match["double"] or match["name"])
        position = match.end()
    return parts


_TOKEN = re.compile(
    r"\.?(?P<name>[^.\[\]'\"]+)|\[(?:(?P<index>\d+)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")\]",
)
_ORDERS: dict[str | None, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda a, b: a > b,
    "GreaterThanOrEqualTo": lambda a, b: a >= b,
    "LessThan": lambda a, b: a < b,
    "LessThanOrEqualTo": lambda a, b: a <= b,
}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Get" and isinstance(item, str):
                yield item
            yield from _references(item)


def _get(reference: Any, scope: Scope) -> Any:
    if not isinstance(reference, str):
        raise ExpressionError(f"Get wants a string, not {reference!r}")
    root, _, rest = reference.partition(".")
    if root == "Parameters":
        if rest not in scope.parameters:
            raise ExpressionError(f"{reference} is no parameter of this pipeline")
        return scope.parameters[rest]
    if root == "Execution":
        if rest not in scope.execution:
            raise ExpressionError(f"{reference} is no execution variable")
        return scope.execution[rest]
    if root != "Steps":
        raise ExpressionError(f"{reference} refers to neither Parameters, Execution nor Steps")
    step, *path = tokens(rest)
    if step not in scope.steps:
        raise ExpressionError(f"{reference} refers to step {step}, which has not run")
    found = scope.steps[str(step)]
    for token in path:
        found = _member(found, token, reference)
    return found


def _member(value: Any, token: str | int, path: str) -> Any:
    if isinstance(value, dict) and token in value:
        return value[token]
    if isinstance(value, list) and isinstance(token, int) and token < len(value):
        return value[token]
    if isinstance(value, list) and isinstance(token, str):
        named = [item for item in value if isinstance(item, dict) and token in _names(item)]
        if named:
            return named[0]
    raise ExpressionError(f"{path} does not exist: there is no {token!r} in it")


def _names(item: dict[str, Any]) -> list[Any]:
    return [each for key, each in item.items() if key.endswith("Name")]


def _join(argument: Mapping[str, Any], scope: Scope) -> str:
    return str(argument.get("On", "")).join(_text(evaluate(value, scope)) for value in argument["Values"])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ExpressionError(f"Std:Join joins strings, numbers and booleans, not {value!r}")


def _json_get(argument: Mapping[str, Any], scope: Scope) -> Any:
    path = argument["Path"]
    if "S3Uri" in argument:
        return select(scope.read_json(evaluate(argument["S3Uri"], scope)), path)
    reference = argument["PropertyFile"]["Get"]
    match = re.fullmatch(r"Steps\.([^.]+)\.PropertyFiles\.(.+)", reference)
    if not match:
        raise ExpressionError(f"Std:JsonGet wants Steps.<step>.PropertyFiles.<name>, not {reference}")
    return select(scope.read_json(PropertyFile(match[1], match[2])), path)


def _operand(value: Any, scope: Scope) -> Any:
    found = evaluate(value, scope)
    if found is None:
        raise ExpressionError(f"the value of {value} is null, and a condition cannot judge null")
    if isinstance(found, (dict, list)):
        raise ExpressionError(f"the value of {value} is no single value, and a condition cannot judge it")
    return found


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
