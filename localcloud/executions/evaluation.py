# SPDX-License-Identifier: Apache-2.0
"""What the expressions of a definition stand for while it runs, and whether a Condition step's conditions hold.

Pure: what the outside knows comes in as a `Scope`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.definitions.expressions import (
    ExpressionError,
    Join,
    JsonGet,
    Reference,
    is_expression,
    member,
    read,
    select,
)
from localcloud.executions.parameters import as_text


@dataclass(frozen=True)
class Scope:
    """What expressions may refer to.

    Attributes:
        parameters: Pipeline parameters, typed.
        execution: The `Execution.*` variables.
        steps: Finished steps' properties: what `Describe*` answered, `OutputParameters` as a dict.
        read_json: Reads the JSON document of a property file or at an S3 URI.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    execution: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Any] = field(default_factory=dict)
    read_json: Callable[[Reference | str], Any] = lambda _: None


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
    if is_expression(value):
        return _evaluate(value, scope)
    return {key: evaluate(item, scope) for key, item in value.items()} if isinstance(value, dict) else value


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
        raise ExpressionError(kind, "is no type of condition that SageMaker Pipelines knows")
    if not (_is_number(left) and _is_number(right)) and not (isinstance(left, str) and isinstance(right, str)):
        rule = f"cannot compare {left!r} with {right!r}: both must be numbers, or both strings"
        raise ExpressionError(kind, rule)
    return bool(_ORDERS[kind](left, right))


_ORDERS: dict[str | None, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda a, b: a > b,
    "GreaterThanOrEqualTo": lambda a, b: a >= b,
    "LessThan": lambda a, b: a < b,
    "LessThanOrEqualTo": lambda a, b: a <= b,
}


def _evaluate(expression: Mapping[str, Any], scope: Scope) -> Any:
    said = read(expression)
    if isinstance(said, Join):
        return said.on.join(_text(evaluate(value, scope)) for value in said.values)
    if isinstance(said, JsonGet):
        source = said.source if isinstance(said.source, Reference) else evaluate(said.source, scope)
        return select(scope.read_json(source), said.path)
    known = {"Parameters": scope.parameters, "Execution": scope.execution, "Steps": scope.steps}[said.root]
    if said.name not in known:
        rule = "the step has not run" if said.root == "Steps" else "does not exist in this pipeline"
        raise ExpressionError(expression["Get"], rule)
    found = known[said.name]
    for token in said.path:
        found = member(found, token, expression["Get"])
    return found


def _text(value: Any) -> str:
    if isinstance(value, (str, int, float)):
        return as_text(value)
    raise ExpressionError(value, "Std:Join joins strings, numbers and booleans only")


def _operand(value: Any, scope: Scope) -> Any:
    found = evaluate(value, scope)
    if found is None:
        raise ExpressionError(value, "is null, and a condition cannot judge null")
    if isinstance(found, (dict, list)):
        raise ExpressionError(value, "is no single value, and a condition cannot judge it")
    return found


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
