# SPDX-License-Identifier: Apache-2.0
"""The form of a definition around its arguments. What is not even of this form is not looked into any further."""

import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from pipelines.check.fault import Fault

STRING = {"type": "string"}
SCALAR = {"type": ["string", "number", "boolean"]}
OBJECT = {"type": "object"}
NAMED_AND_TYPED = {"required": ["Name", "Type"]}


def _object(**properties: Any) -> dict[str, Any]:
    return {**OBJECT, "properties": properties}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _of_type(kind: str, **arguments: Any) -> dict[str, Any]:
    """What else holds for a step of a type."""
    return {"if": {"properties": {"Type": {"const": kind}}}, "then": _object(Arguments=_object(**arguments))}


STEPS = _list({"$ref": "#/$defs/step"})
PARAMETER = _object(Name=STRING, Type=STRING, DefaultValue=SCALAR, EnumValues=_list(SCALAR))
STEP = _object(
    Name=STRING,
    Type=STRING,
    Arguments=OBJECT,
    DependsOn=_list({"type": ["string", "object"], "properties": {"Step": STRING}}),
    RetryPolicies=_list(_object(ExceptionType=_list(STRING))),
    CacheConfig=OBJECT,
    PropertyFiles=_list(_object(PropertyFileName=STRING, OutputName=STRING, FilePath=STRING)),
    OutputParameters=_list(_object(OutputName=STRING, OutputType=STRING)),
)
KINDS = [
    _of_type("Condition", Conditions=_list(OBJECT), IfSteps=STEPS, ElseSteps=STEPS),
    _of_type("Processing", ProcessingOutputConfig=_object(Outputs=_list(_object(OutputName=STRING)))),
]
SCHEMA = {
    **_object(Version=STRING, Parameters=_list({**NAMED_AND_TYPED, **PARAMETER}), Steps={**STEPS, "minItems": 1}),
    "required": ["Steps"],
    "$defs": {"step": {**NAMED_AND_TYPED, **STEP, "allOf": KINDS}},
}
NAMES = {
    "array": "a list",
    "boolean": "true or false",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


def form_faults(definition: Any) -> Iterator[Fault]:
    """Yield where a definition has not the form that every further check relies on."""
    faults = (_fault(definition, error) for error in Draft202012Validator(SCHEMA).iter_errors(definition))
    # What is no object at all breaks several parts of the schema at once.
    yield from {(fault.path, fault.rule): fault for fault in faults}.values()


def _fault(definition: Any, error: ValidationError) -> Fault:
    missing = re.match("'(.*)' is a required property", error.message) if error.validator == "required" else None
    value, step, path = definition, "", ""
    for key in [*error.absolute_path, *(missing.groups() if missing else ())]:
        path = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".removeprefix(".")
        value = None if missing and value is error.instance else value[key]
        if re.search(r"Steps\[\d+]$", path):
            name = value.get("Name") if isinstance(value, dict) else None
            step = name if isinstance(name, str) else ""
            path = path.replace(".Arguments.", ".")
    if path == "Steps" and (missing or error.validator == "minItems"):
        rule = "is required: a list of at least one step"
    else:
        rule = "is required" if missing else f"must be {_named(error.validator_value)}"
    return Fault(step, re.sub(r".*\.(?=Arguments\b)", "", path) or "definition", value, rule, fatal=True)


def _named(types: str | list[str]) -> str:
    return " or ".join(NAMES[kind] for kind in ([types] if isinstance(types, str) else types))
