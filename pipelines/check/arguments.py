# SPDX-License-Identifier: Apache-2.0
"""A step's arguments by its type: against the call that takes them, or against the pipeline's own grammar."""

from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.definitions.expressions import ExpressionError, expressions, is_expression
from localcloud.definitions.graph import own_arguments
from localcloud.definitions.service_model import OPERATIONS, pattern
from pipelines.check.fault import Fault
from pipelines.check.references import References
from pipelines.check.shapes import shape_faults

Step = Mapping[str, Any]

ORDERS = ("GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")
CONDITION_MEMBERS = {
    **dict.fromkeys(["Equals", *ORDERS], ("LeftValue", "RightValue")),
    "In": ("QueryValue", "Values"),
    "Not": ("Expression",),
    "Or": ("Conditions",),
}
OUTPUT_TYPES = ("String", "Integer", "Boolean", "Float")
ADDRESSES = {
    "Callback": ("SqsQueueUrl", r"https?://[^/]+/[0-9]{12}/[a-zA-Z0-9_-]{1,80}(\.fifo)?"),
    "Lambda": (
        "FunctionArn",
        r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[a-zA-Z0-9-_.]+(:[a-zA-Z0-9-_$]+)?",
    ),
}
"""Where a message goes: the member that says it, and its form."""
LONGEST_FAIL_MESSAGE = 3072
MOST_OUTPUTS = 50
"""Of a function's or a callback's: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_LambdaStepMetadata.html."""


def argument_faults(step: Step, references: References) -> Iterator[Fault]:
    """Yield what is wrong with a step's arguments and with the expressions in it."""
    name = step["Name"]
    for path, expression in expressions(own_arguments(step), "Arguments"):
        try:
            references.look_up(expression)
        except ExpressionError as error:
            yield Fault(name, path, error.value, error.rule)
        in_condition = step["Type"] == "Condition" and path.startswith("Arguments.Conditions")
        if "Std:JsonGet" in expression and not in_condition:
            yield Fault(
                name,
                path,
                dict(expression),
                "Std:JsonGet stands in the conditions of a Condition step only "
                "(https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-propertyfile.html)",
            )
    if step["Type"] in OPERATIONS:
        yield from shape_faults(step, references)
        yield from _property_file_faults(step)
    elif step["Type"] == "Condition":
        yield from _condition_step_faults(step, references)
    elif step["Type"] == "Fail":
        yield from _fail_faults(step, references)
    else:
        yield from _address_faults(step)
        yield from _message_faults(step)


def _property_file_faults(step: Step) -> Iterator[Fault]:
    outputs = [
        output.get("OutputName")
        for output in step.get("Arguments", {}).get("ProcessingOutputConfig", {}).get("Outputs", [])
    ]
    for index, file in enumerate(step.get("PropertyFiles", [])):
        where = f"PropertyFiles[{index}]"
        for member in ("PropertyFileName", "OutputName", "FilePath"):
            if not isinstance(file.get(member), str) or not file[member]:
                yield Fault(step["Name"], f"{where}.{member}", file.get(member), "is required: a string")
        if file.get("OutputName") not in outputs:
            yield Fault(step["Name"], f"{where}.OutputName", file.get("OutputName"), "is no output of this step")


def _condition_step_faults(step: Step, references: References) -> Iterator[Fault]:
    arguments = step.get("Arguments", {})
    for member in ("Conditions", "IfSteps", "ElseSteps"):
        if not isinstance(arguments.get(member), list):
            yield Fault(step["Name"], f"Arguments.{member}", arguments.get(member), "is required: a list")
    if arguments.get("Conditions") == []:
        yield Fault(step["Name"], "Arguments.Conditions", [], "needs at least one condition")
    for index, condition in enumerate(arguments.get("Conditions") or []):
        yield from _condition_faults(step["Name"], f"Arguments.Conditions[{index}]", condition, references)


def _condition_faults(name: str, path: str, condition: Any, references: References) -> Iterator[Fault]:
    kind = condition.get("Type") if isinstance(condition, Mapping) else None
    if not isinstance(kind, str) or kind not in CONDITION_MEMBERS:
        yield Fault(name, f"{path}.Type", kind, f"must be one of {', '.join(CONDITION_MEMBERS)}")
        return
    for member in CONDITION_MEMBERS[kind]:
        if condition.get(member) is None:
            yield Fault(name, f"{path}.{member}", None, f"is required in a condition of type {kind}")
            return
    for member in set(condition) - {"Type", *CONDITION_MEMBERS[kind]}:
        yield Fault(name, f"{path}.{member}", condition[member], f"is unknown in a condition of type {kind}")
    for member in {"Conditions", "Values"} & set(CONDITION_MEMBERS[kind]):
        if not isinstance(condition[member], list):
            yield Fault(name, f"{path}.{member}", condition[member], "must be a list")
            return
    if kind == "Not":
        yield from _condition_faults(name, f"{path}.Expression", condition["Expression"], references)
    elif kind == "Or":
        for index, inner in enumerate(condition["Conditions"]):
            yield from _condition_faults(name, f"{path}.Conditions[{index}]", inner, references)
    elif kind in ("Equals", *ORDERS):
        left, right = (_operand_kind(condition[side], references) for side in ("LeftValue", "RightValue"))
        if left and right and left != right:
            yield Fault(name, path, f"{left} and {right}", f"{kind} compares values of one kind")
        if kind in ORDERS and "truth" in (left, right):
            yield Fault(name, path, "a truth value", f"{kind} compares numbers or strings")


def _operand_kind(value: Any, references: References) -> str | None:
    """Return number, text or truth; None where only an execution knows, or where the value is at fault itself."""
    if is_expression(value):
        kind = references.resolve(value).kind
        return {"String": "text", "Boolean": "truth", "Integer": "number", "Float": "number"}.get(kind or "")
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text"


def _fail_faults(step: Step, references: References) -> Iterator[Fault]:
    message = step.get("Arguments", {}).get("ErrorMessage")
    if is_expression(message):
        if references.resolve(message).kind not in (None, "String"):
            yield Fault(step["Name"], "Arguments.ErrorMessage", message, "must be a string")
    elif not isinstance(message, str):
        yield Fault(step["Name"], "Arguments.ErrorMessage", message, "is required: a string")
    elif len(message) > LONGEST_FAIL_MESSAGE:
        rule = f"must be at most {LONGEST_FAIL_MESSAGE} characters long"
        yield Fault(step["Name"], "Arguments.ErrorMessage", message, rule)
    for member in set(step.get("Arguments", {})) - {"ErrorMessage"}:
        yield Fault(step["Name"], f"Arguments.{member}", step["Arguments"][member], "is unknown in a Fail step")


def _address_faults(step: Step) -> Iterator[Fault]:
    member, expression = ADDRESSES[step["Type"]]
    value = step.get(member)
    if not isinstance(value, str):
        yield Fault(step["Name"], member, value, f"is required in a {step['Type']} step: a string")
    elif not pattern(expression).fullmatch(value):
        yield Fault(step["Name"], member, value, f"must match {expression}")


def _message_faults(step: Step) -> Iterator[Fault]:
    """Yield what is wrong with the flat message that a function or a queue gets, and with what comes back."""
    for name, value in step.get("Arguments", {}).items():
        if isinstance(value, list) or (isinstance(value, Mapping) and not is_expression(value)):
            yield Fault(step["Name"], f"Arguments.{name}", value, "must be a string, a number or an expression")
    seen: set[str] = set()
    if len(step.get("OutputParameters", [])) > MOST_OUTPUTS:
        rule = f"must be at most {MOST_OUTPUTS} outputs"
        yield Fault(step["Name"], "OutputParameters", len(step["OutputParameters"]), rule)
    for index, output in enumerate(step.get("OutputParameters", [])):
        where, name = f"OutputParameters[{index}]", output.get("OutputName")
        if not isinstance(name, str) or not name:
            yield Fault(step["Name"], f"{where}.OutputName", name, "is required: a string")
        elif name in seen:
            yield Fault(step["Name"], f"{where}.OutputName", name, "is the name of another output")
        seen.add(str(name))
        if output.get("OutputType") not in OUTPUT_TYPES:
            rule = f"must be one of {', '.join(OUTPUT_TYPES)}"
            yield Fault(step["Name"], f"{where}.OutputType", output.get("OutputType"), rule)
