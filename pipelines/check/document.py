# SPDX-License-Identifier: Apache-2.0
"""The definition as a document: its size, its parameters, and the names and types of its steps."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.definitions.graph import walk
from localcloud.definitions.service_model import STEP_TYPES, shape_named
from localcloud.definitions.shapes import exceeded
from pipelines.check.fault import Fault
from pipelines.check.shapes import rule

VERSION = "2020-12-01"
# AWS takes 1,048,576 bytes. Half of that is where a definition stops being one that a person reviews.
LARGEST_BYTES = 500_000
AWS_LARGEST_BYTES = 1_048_576
PARAMETER_TYPES: dict[str, tuple[type, ...]] = {
    "String": (str,),
    "Integer": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
}


def document_faults(definition: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with the definition before any step is looked into."""
    size = len(json.dumps(definition).encode())
    if size > LARGEST_BYTES:
        yield Fault(
            "",
            "definition",
            size,
            f"must be at most {LARGEST_BYTES:,} bytes (AWS refuses more than {AWS_LARGEST_BYTES:,})",
        )
    if definition.get("Version") != VERSION:
        yield Fault("", "Version", definition.get("Version"), f"must be {VERSION!r}")
    yield from _parameter_faults(definition.get("Parameters", []))
    for step in walk(definition["Steps"]):
        yield from _name_faults(step["Name"], "Name", step["Name"], "StepName")
        if step["Type"] not in STEP_TYPES:
            yield Fault(
                step["Name"], "Type", step["Type"], f"must be one of {', '.join(sorted(STEP_TYPES))}", fatal=True
            )


def _parameter_faults(parameters: list[Mapping[str, Any]]) -> Iterator[Fault]:
    most = shape_named("ParameterList").metadata["max"]
    if len(parameters) > most:
        yield Fault("", "Parameters", len(parameters), f"must be at most {most}")
    names: set[str] = set()
    for index, parameter in enumerate(parameters):
        where = f"Parameters[{index}]"
        name, kind = parameter["Name"], parameter["Type"]
        yield from _name_faults("", f"{where}.Name", name, "PipelineParameterName")
        if name in names:
            yield Fault("", f"{where}.Name", name, "is the name of another parameter")
        names.add(name)
        if kind not in PARAMETER_TYPES:
            yield Fault("", f"{where}.Type", kind, f"must be one of {', '.join(PARAMETER_TYPES)}", fatal=True)
            continue
        allowed = parameter.get("EnumValues", [])
        for path, value in [
            *([(f"{where}.DefaultValue", parameter["DefaultValue"])] if "DefaultValue" in parameter else []),
            *((f"{where}.EnumValues[{i}]", value) for i, value in enumerate(allowed)),
        ]:
            if not _is_of(value, kind):
                yield Fault("", path, value, f"must be of the parameter's type {kind}")
        if allowed and "DefaultValue" in parameter and parameter["DefaultValue"] not in allowed:
            yield Fault("", f"{where}.DefaultValue", parameter["DefaultValue"], "must be among EnumValues")


def _name_faults(step: str, path: str, name: str, shape: str) -> Iterator[Fault]:
    for broken in exceeded(name, shape_named(shape)):
        yield Fault(step, path, name, rule(broken))


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "Boolean"
    return isinstance(value, PARAMETER_TYPES[kind])
