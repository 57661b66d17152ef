# SPDX-License-Identifier: Apache-2.0
"""What expressions refer to: whether it is there, of which type it is, and where that is known, its text."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.model import Shape

from pipelines.check.expressions import expressions, is_expression
from pipelines.check.graph import walk
from pipelines.check.service_model import OPERATIONS, output_shape

# Name and an example of each variable of an execution.
# https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-parameters.html
EXECUTION = {
    "CurrentDateTime": "2026-01-01T00:00:00.000Z",
    "PipelineArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/example",
    "PipelineExecutionArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/example/execution/abcdefghijkl",
    "PipelineExecutionId": "abcdefghijkl",
    "PipelineName": "example",
    "ProcessingJobName": "pipelines-abcdefghijkl-example-1a2b3c4d5e",
    "StartDateTime": "2026-01-01T00:00:00.000Z",
    "TrainingJobName": "pipelines-abcdefghijkl-example-1a2b3c4d5e",
}
_TYPES = {
    "blob": "String",
    "boolean": "Boolean",
    "double": "Float",
    "float": "Float",
    "integer": "Integer",
    "long": "Integer",
    "string": "String",
    "timestamp": "String",
}
_TOKEN = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")


@dataclass(frozen=True)
class Resolved:
    """What an expression stands for.

    Attributes:
        kind: String, Integer, Float, Boolean, or the name of a shape (`structure`, `list`); None where unknown.
        examples: Texts or values that it may have; none where only an execution knows.
    """

    kind: str | None
    examples: tuple[Any, ...] = ()


class References:
    """The parameters, steps and property files of a definition."""

    def __init__(self, definition: Mapping[str, Any]) -> None:
        self._parameters = {parameter["Name"]: parameter for parameter in definition.get("Parameters", [])}
        self._steps = {step["Name"]: step for step in walk(definition["Steps"])}

    def faults(self, expression: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
        """Yield value and rule of what is wrong with one expression; those inside it are visited by themselves."""
        ((function, argument),) = expression.items()
        if function == "Get":
            yield from self._get_faults(argument)
        elif function == "Std:Join":
            if not isinstance(argument, Mapping) or set(argument) != {"On", "Values"}:
                yield argument, "Std:Join takes On and Values"
            elif not isinstance(argument["On"], str) or not isinstance(argument["Values"], list):
                yield argument, "Std:Join takes a string On and a list of Values"
            else:
                for value in argument["Values"]:
                    if isinstance(value, list) or (isinstance(value, Mapping) and not is_expression(value)):
                        yield value, "Std:Join joins strings, numbers and expressions only"
        else:
            yield from self._json_get_faults(argument)

    def resolve(self, expression: Mapping[str, Any]) -> Resolved:
        """Return the type and the known values of an expression; unknown where any part of it is at fault."""
        if any(fault for _, part in expressions(expression) for fault in self.faults(part)):
            return Resolved(None)
        return self._resolve(expression)

    def _resolve(self, expression: Mapping[str, Any]) -> Resolved:
        ((function, argument),) = expression.items()
        if function == "Std:JsonGet":
            return Resolved(None)
        if function == "Std:Join":
            return Resolved("String", self._joined(argument))
        root, _, rest = argument.partition(".")
        if root == "Parameters":
            parameter = self._parameters[rest]
            default = [parameter["DefaultValue"]] if "DefaultValue" in parameter else []
            return Resolved(parameter["Type"], tuple(dict.fromkeys([*default, *parameter.get("EnumValues", [])])))
        if root == "Execution":
            return Resolved("String", (EXECUTION[rest],))
        name, _, path = rest.partition(".")
        return Resolved(self._property_kind(self._steps[name], path))

    def _joined(self, join: Mapping[str, Any]) -> tuple[str, ...]:
        parts = []
        for value in join["Values"]:
            if is_expression(value):
                examples = self._resolve(value).examples
                if not examples:
                    return ()
                parts.append(str(examples[0]))
            else:
                parts.append(str(value))
        return (join["On"].join(parts),)

    def _get_faults(self, reference: Any) -> Iterator[tuple[Any, str]]:
        if not isinstance(reference, str):
            yield reference, "Get takes a string"
            return
        root, _, rest = reference.partition(".")
        if root == "Parameters":
            if rest not in self._parameters:
                yield reference, f"the pipeline has no parameter {rest}"
        elif root == "Execution":
            if rest not in EXECUTION:
                yield reference, f"an execution has no variable {rest}; it has {', '.join(EXECUTION)}"
        elif root == "Steps":
            yield from self._step_faults(reference, rest)
        else:
            yield reference, "must refer to Parameters, Execution or Steps"

    def _step_faults(self, reference: str, rest: str) -> Iterator[tuple[Any, str]]:
        name, _, path = rest.partition(".")
        if name not in self._steps:
            yield reference, f"the pipeline has no step {name}"
            return
        step = self._steps[name]
        if path.startswith("PropertyFiles."):
            if path.removeprefix("PropertyFiles.") not in _property_files(step):
                yield reference, f"step {name} declares no property file of that name"
        elif self._property_kind(step, path) is None:
            yield reference, f"a {step['Type']} step has no property {path or '(nothing named)'}"

    def _json_get_faults(self, argument: Any) -> Iterator[tuple[Any, str]]:
        if not isinstance(argument, Mapping) or not isinstance(argument.get("Path"), str) or not argument["Path"]:
            yield argument, "Std:JsonGet takes a Path, which is a string and no expression"
            return
        if ("PropertyFile" in argument) == ("S3Uri" in argument):
            yield argument, "Std:JsonGet takes either a PropertyFile or an S3Uri"
        elif "PropertyFile" in argument:
            reference = argument["PropertyFile"]
            if not is_expression(reference) or ".PropertyFiles." not in str(reference.get("Get", "")):
                yield reference, "must be a Get of Steps.<step>.PropertyFiles.<name>"

    def _property_kind(self, step: Mapping[str, Any], path: str) -> str | None:
        """Return the type of a step's property, or None where it has no such property."""
        tokens = _tokens(path)
        if tokens is None:
            return None
        if step["Type"] in ("Lambda", "Callback"):
            if len(tokens) != 2 or tokens[0] != "OutputParameters":
                return None
            outputs = step.get("OutputParameters", [])
            return next((output.get("OutputType") for output in outputs if output.get("OutputName") == tokens[1]), None)
        if step["Type"] == "Condition":
            return "String" if tokens == ["Outcome"] else None
        if step["Type"] not in OPERATIONS:
            return None
        shape = _shape_at(output_shape(step["Type"]), tokens)
        if shape is None or not _names_an_output(step, tokens):
            return None
        return _TYPES.get(shape.type_name, shape.type_name)


def _tokens(path: str) -> list[str | int] | None:
    """Return the parts of `Outputs['train'].S3Output`; None where it is no path."""
    tokens: list[str | int] = []
    position = 0
    while position < len(path):
        found = _TOKEN.match(path, position)
        if not found:
            return None
        name, index, single, double = found.groups()
        tokens.append(int(index) if index is not None else name or single or double or "")
        position = found.end()
    return tokens or None


def _shape_at(shape: Shape | None, tokens: list[str | int]) -> Shape | None:
    for token in tokens:
        if shape is None:
            return None
        if shape.type_name == "structure":
            shape = shape.members.get(str(token))  # type: ignore[attr-defined]
        elif shape.type_name == "list":
            # Pipelines lets Outputs be addressed by OutputName as well as by index.
            shape = shape.member  # type: ignore[attr-defined]
        elif shape.type_name == "map":
            shape = shape.value  # type: ignore[attr-defined]
        else:
            return None
    return shape


def _names_an_output(step: Mapping[str, Any], tokens: list[str | int]) -> bool:
    """Return False where a Processing step has no output of the name by which one is addressed."""
    if step["Type"] != "Processing" or tokens[:2] != ["ProcessingOutputConfig", "Outputs"] or len(tokens) < 3:
        return True
    outputs = step.get("Arguments", {}).get("ProcessingOutputConfig", {}).get("Outputs", [])
    if isinstance(tokens[2], int):
        return tokens[2] < len(outputs)
    return tokens[2] in [output.get("OutputName") for output in outputs]


def _property_files(step: Mapping[str, Any]) -> list[str]:
    return [file.get("PropertyFileName", "") for file in step.get("PropertyFiles", [])]
