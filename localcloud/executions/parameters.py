# SPDX-License-Identifier: Apache-2.0
"""Pipeline parameters: what an execution is started with, checked against what the definition declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ParameterError(ValueError):
    """Values that do not fit the definition."""


def bound(declared: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Every declared parameter's value, typed: the given one, else the default.

    Args:
        declared: The definition's `Parameters`.
        given: Name and Value, as StartPipelineExecution takes them; values are strings.

    Raises:
        ParameterError: An unknown or repeated name, a value of the wrong type or not in the enumeration, none at all,
            or an empty one (https://github.com/aws/sagemaker-python-sdk/issues/4016 has AWS's words).
    """
    types = {each["Name"]: each for each in declared}
    names = [each["Name"] for each in given]
    unknown = sorted(set(names) - set(types))
    if unknown:
        raise ParameterError(f"Unknown parameters {unknown}: the pipeline declares {sorted(types)}")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ParameterError(f"Parameters {repeated} are given more than once")
    if any(each["Value"] == "" for each in given):
        raise ParameterError('[string "" is too short (length: 0, required minimum: 1)]')
    values = {each["Name"]: typed(types[each["Name"]]["Type"], each["Name"], each["Value"]) for each in given}
    missing = sorted(name for name, each in types.items() if name not in values and "DefaultValue" not in each)
    if missing:
        raise ParameterError(f"Parameters {missing} have no default value and must be given")
    for name, each in types.items():
        value = values.setdefault(name, each.get("DefaultValue"))
        if each.get("EnumValues") and value not in each["EnumValues"]:
            raise ParameterError(f"Parameter {name} is {value!r}, but must be one of {each['EnumValues']}")
    return values


def typed(kind: str, name: str, text: Any) -> Any:
    """`text` as a value of the parameter type or output type `kind` (String, Integer, Float, Boolean).

    Raises:
        ParameterError: It is none.
    """
    try:
        if kind == "Integer":
            return int(str(text))
        if kind == "Float":
            return float(str(text))
        if kind == "Boolean":
            return {"true": True, "false": False}[str(text).lower()]
    except (ValueError, KeyError) as error:
        raise ParameterError(f"{name} is {text!r}, which is no {kind}") from error
    return str(text)


def as_text(value: Any) -> str:
    """A typed value as answers and joins have it: "true", not "True"."""
    return str(value).lower() if isinstance(value, bool) else str(value)
