# SPDX-License-Identifier: Apache-2.0
"""The form of a definition around its arguments. What is not even of this form is not looked into any further."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.check.fault import Fault

Form = Any
"""A type, a list of one form for every item, an object's forms by name, or a tuple of such to choose from."""

SCALAR: Form = (str, int, float, bool)
PARAMETER: Form = {"Name": str, "Type": str, "DefaultValue": SCALAR, "EnumValues": [SCALAR]}
RETRY_POLICY: Form = {"ExceptionType": [str]}
PROPERTY_FILE: Form = {"PropertyFileName": str, "OutputName": str, "FilePath": str}
OUTPUT_PARAMETER: Form = {"OutputName": str, "OutputType": str}
STEP: Form = {
    "Name": str,
    "Type": str,
    "Arguments": dict,
    "DependsOn": [(str, {"Step": str})],
    "RetryPolicies": [RETRY_POLICY],
    "CacheConfig": dict,
    "PropertyFiles": [PROPERTY_FILE],
    "OutputParameters": [OUTPUT_PARAMETER],
}
ARGUMENTS: dict[str, Form] = {
    "Condition": {"Conditions": [dict], "IfSteps": [dict], "ElseSteps": [dict]},
    "Processing": {"ProcessingOutputConfig": {"Outputs": [{"OutputName": str}]}},
}
REQUIRED = {"Parameters": ("Name", "Type"), "Steps": ("Name", "Type")}


def form_faults(definition: Any) -> Iterator[Fault]:
    """Yield where a definition has not the form that every further check relies on."""
    yield from _faults(definition, {"Version": str, "Parameters": [PARAMETER], "Steps": [dict]}, "", "definition")
    if not isinstance(definition, Mapping):
        return
    if not isinstance(definition.get("Steps"), list) or not definition["Steps"]:
        yield Fault("", "Steps", definition.get("Steps"), "is required: a list of at least one step", fatal=True)
        return
    parameters = definition.get("Parameters")
    for index, parameter in enumerate(parameters if isinstance(parameters, list) else []):
        yield from _missing(parameter, "Parameters", f"Parameters[{index}]", "")
    yield from _step_faults(definition["Steps"], "Steps")


def _step_faults(steps: Any, path: str) -> Iterator[Fault]:
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        where = f"{path}[{index}]"
        name = step["Name"] if isinstance(step, Mapping) and isinstance(step.get("Name"), str) else ""
        yield from _missing(step, "Steps", where, name)
        yield from _faults(step, STEP, name, where)
        if not isinstance(step, Mapping) or not isinstance(step.get("Arguments"), Mapping):
            continue
        kind = step["Type"] if isinstance(step.get("Type"), str) else ""
        yield from _faults(step["Arguments"], ARGUMENTS.get(kind, dict), name, "Arguments")
        if kind == "Condition":
            for branch in ("IfSteps", "ElseSteps"):
                yield from _step_faults(step["Arguments"].get(branch), f"{where}.{branch}")


def _missing(value: Any, kind: str, path: str, step: str) -> Iterator[Fault]:
    for name in REQUIRED[kind]:
        if isinstance(value, Mapping) and name not in value:
            yield Fault(step, f"{path}.{name}", None, "is required", fatal=True)


def _faults(value: Any, form: Form, step: str, path: str) -> Iterator[Fault]:
    if isinstance(form, tuple):
        if all(any(_faults(value, each, step, path)) for each in form):
            yield _fault(step, path, value, " or ".join(_name(each) for each in form))
    elif isinstance(form, type):
        if not isinstance(value, form) or (isinstance(value, bool) and form is not bool):
            yield _fault(step, path, value, _name(form))
    elif isinstance(form, list):
        if not isinstance(value, list):
            yield _fault(step, path, value, "a list")
            return
        for index, item in enumerate(value):
            yield from _faults(item, form[0], step, f"{path}[{index}]")
    elif not isinstance(value, Mapping):
        yield _fault(step, path, value, "an object")
    else:
        for name, below in form.items():
            if name in value:
                yield from _faults(value[name], below, step, f"{path}.{name}" if path != "definition" else name)


def _fault(step: str, path: str, value: Any, form: str) -> Fault:
    return Fault(step, path, value, f"must be {form}", fatal=True)


def _name(form: Form) -> str:
    names = {str: "a string", int: "a number", float: "a number", bool: "true or false", dict: "an object"}
    return names.get(form, "an object") if isinstance(form, type) else "an object"
