# SPDX-License-Identifier: Apache-2.0
"""What expressions refer to: whether it is there, of which type it is, and where that is known, its text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.model import Shape

from localcloud.definitions.expressions import ExpressionError, Join, JsonGet, Reference, is_expression, read
from localcloud.definitions.graph import walk
from localcloud.definitions.service_model import OPERATIONS, output_shape

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
KINDS = {
    "blob": "String",
    "boolean": "Boolean",
    "double": "Float",
    "float": "Float",
    "integer": "Integer",
    "long": "Integer",
    "string": "String",
    "timestamp": "String",
}
"""What Pipelines calls the types of the service model."""


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

    def resolve(self, expression: Mapping[str, Any]) -> Resolved:
        """Return the type and the known values of an expression; unknown where it is at fault."""
        try:
            return self.look_up(expression)
        except ExpressionError:
            return Resolved(None)

    def look_up(self, expression: Mapping[str, Any]) -> Resolved:
        """Return the type and the known values of an expression; what is wrong with those inside it counts as unknown.

        Raises:
            ExpressionError: It is not of the form that SageMaker takes, or refers to nothing.
        """
        said = read(expression)
        if isinstance(said, JsonGet):
            return Resolved(None)
        if isinstance(said, Join):
            return Resolved("String", self._joined(said))
        if said.root == "Steps":
            return self._look_up_step(said, expression["Get"])
        if said.root == "Execution":
            if said.name not in EXECUTION:
                rule = f"an execution has no variable {said.name}; it has {', '.join(EXECUTION)}"
                raise ExpressionError(expression["Get"], rule)
            return Resolved("String", (EXECUTION[said.name],))
        if said.name not in self._parameters:
            raise ExpressionError(expression["Get"], f"the pipeline has no parameter {said.name}")
        parameter = self._parameters[said.name]
        default = [parameter["DefaultValue"]] if "DefaultValue" in parameter else []
        return Resolved(parameter["Type"], tuple(dict.fromkeys([*default, *parameter.get("EnumValues", [])])))

    def _look_up_step(self, said: Reference, text: str) -> Resolved:
        step = self._steps.get(said.name)
        if step is None:
            raise ExpressionError(text, f"the pipeline has no step {said.name}")
        if said.is_file:
            if said.path[1] not in [file.get("PropertyFileName") for file in step.get("PropertyFiles", [])]:
                raise ExpressionError(text, f"step {said.name} declares no property file of that name")
            return Resolved(None)
        kind = _property_kind(step, said.path)
        if kind is None:
            named = text.removeprefix(f"Steps.{said.name}").removeprefix(".") or "(nothing named)"
            raise ExpressionError(text, f"a {step['Type']} step has no property {named}")
        return Resolved(kind)

    def _joined(self, join: Join) -> tuple[str, ...]:
        parts = []
        for value in join.values:
            if is_expression(value):
                examples = self.resolve(value).examples
                if not examples:
                    return ()
                parts.append(str(examples[0]))
            else:
                parts.append(str(value))
        return (join.on.join(parts),)


def _property_kind(step: Mapping[str, Any], path: tuple[str | int, ...]) -> str | None:
    """Return the type of a step's property, or None where it has no such property."""
    if step["Type"] in ("Lambda", "Callback"):
        if len(path) != 2 or path[0] != "OutputParameters":
            return None
        outputs = step.get("OutputParameters", [])
        return next((output.get("OutputType") for output in outputs if output.get("OutputName") == path[1]), None)
    if step["Type"] == "Condition":
        return "String" if path == ("Outcome",) else None
    if step["Type"] not in OPERATIONS or not path:
        return None
    shape = _shape_at(output_shape(step["Type"]), path)
    if shape is None or not _names_an_output(step, path):
        return None
    return KINDS.get(shape.type_name, shape.type_name)


def _shape_at(shape: Shape | None, path: tuple[str | int, ...]) -> Shape | None:
    for token in path:
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


def _names_an_output(step: Mapping[str, Any], path: tuple[str | int, ...]) -> bool:
    """Return False where a Processing step has no output of the name by which one is addressed."""
    if step["Type"] != "Processing" or path[:2] != ("ProcessingOutputConfig", "Outputs") or len(path) < 3:
        return True
    outputs = step.get("Arguments", {}).get("ProcessingOutputConfig", {}).get("Outputs", [])
    if isinstance(path[2], int):
        return path[2] < len(outputs)
    return path[2] in [output.get("OutputName") for output in outputs]
