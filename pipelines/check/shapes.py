# SPDX-License-Identifier: Apache-2.0
"""A step's arguments against the shape of the call that takes them, and what their expressions may stand for."""

from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.definitions.service_model import OPERATIONS, input_shape
from localcloud.definitions.shapes import NUMBERS, Violation, exceeded, violations
from pipelines.check.fault import Fault
from pipelines.check.references import KINDS, References


def shape_faults(step: Mapping[str, Any], references: References) -> Iterator[Fault]:
    """Yield what is wrong with the arguments of a step that is a call.

    Args:
        step: With expressions in it, whose own faults are reported elsewhere.
        references: To know what an expression stands for.
    """
    shape, supplied = input_shape(step["Type"]), OPERATIONS[step["Type"]].supplied
    for broken in violations(step.get("Arguments", {}), shape, supplied=supplied, expressions=True):
        path = "Arguments" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in broken.path)
        rules = _expression_rules(broken, references) if broken.limit == "expression" else (rule(broken),)
        for each in rules:
            yield Fault(step["Name"], path, broken.value, each)


def _expression_rules(broken: Violation, references: References) -> Iterator[str]:
    resolved = references.resolve(broken.value)
    kind = KINDS.get(broken.shape.type_name, broken.shape.type_name)
    takes = (kind, "Integer") if kind == "Float" else (kind,)
    if resolved.kind is not None and resolved.kind not in takes:
        yield f"is of type {resolved.kind}, but the argument takes {' or '.join(takes)}"
        return
    for example in resolved.examples:
        for each in exceeded(example, broken.shape):
            yield f"would be {example!r}, which {rule(each)}"


def rule(broken: Violation) -> str:
    """Return what would keep the limit that a value breaks."""
    shape, limits = broken.shape, broken.shape.metadata
    match broken.limit:
        case "required":
            return f"is required in {shape.name}"
        case "unknown":
            return f"is unknown in {shape.name}, which has {', '.join(shape.members)}"
        case "enum":
            return f"must be a {shape.name} that SageMaker knows ({_some(limits['enum'])})"
        case "min":
            return f"must be at least {limits['min']}{_unit(broken)}"
        case "max":
            return f"must be at most {limits['max']}{_unit(broken)}"
        case "pattern":
            return f"must match {limits['pattern']}"
    article = {"map": "map of strings", "structure": "structure (an object)"}
    return f"must be a {article.get(shape.type_name, shape.type_name)}"


def _unit(broken: Violation) -> str:
    if broken.shape.type_name in NUMBERS:
        return ""
    return " characters long" if isinstance(broken.value, str) else " long"


def _some(values: list[str], shown: int = 8) -> str:
    return ", ".join(values[:shown]) + (f" and {len(values) - shown} more" if len(values) > shown else "")
