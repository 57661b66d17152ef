# SPDX-License-Identifier: Apache-2.0
"""SageMaker's service model: what a step's arguments are given to, and what its properties come from."""

import functools
import re
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.model import Shape


@dataclass(frozen=True)
class Operation:
    """The calls behind a step type.

    Attributes:
        create: Call that takes the step's Arguments.
        describe: Call whose answer the step's properties are.
        supplied: Members that Pipelines fills in itself.
    """

    create: str
    describe: str
    supplied: frozenset[str] = frozenset()


OPERATIONS = {
    "Processing": Operation("CreateProcessingJob", "DescribeProcessingJob", frozenset({"ProcessingJobName"})),
    "Training": Operation("CreateTrainingJob", "DescribeTrainingJob", frozenset({"TrainingJobName"})),
    "Transform": Operation("CreateTransformJob", "DescribeTransformJob", frozenset({"TransformJobName"})),
    "Tuning": Operation(
        "CreateHyperParameterTuningJob",
        "DescribeHyperParameterTuningJob",
        frozenset({"HyperParameterTuningJobName"}),
    ),
    "Model": Operation("CreateModel", "DescribeModel", frozenset({"ModelName"})),
    "RegisterModel": Operation("CreateModelPackage", "DescribeModelPackage"),
    "EndpointConfig": Operation("CreateEndpointConfig", "DescribeEndpointConfig", frozenset({"EndpointConfigName"})),
    "Endpoint": Operation("CreateEndpoint", "DescribeEndpoint", frozenset({"EndpointName"})),
}
OTHER_TYPES = frozenset({"Callback", "Condition", "Fail", "Lambda"})
STEP_TYPES = frozenset(OPERATIONS) | OTHER_TYPES


@functools.cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


def input_shape(step_type: str) -> Shape:
    """Return the shape of what the step's call takes."""
    shape: Shape = _model().operation_model(OPERATIONS[step_type].create).input_shape
    return shape


def output_shape(step_type: str) -> Shape:
    """Return the shape of what the step's properties are."""
    shape: Shape = _model().operation_model(OPERATIONS[step_type].describe).output_shape
    return shape


def shape_named(name: str) -> Shape:
    """Return a shape of the model by its name (`StepName`)."""
    shape: Shape = _model().shape_for(name)
    return shape


@functools.cache
def pattern(expression: str) -> re.Pattern[str]:
    """Return the model's regular expression, which is Java's, as Python writes it."""
    for java, python in _JAVA.items():
        expression = expression.replace(java, python)
    return re.compile(expression)


_JAVA = {
    r"[\p{Print}]": "[ -~]",
    r"\p{Print}": "[ -~]",
    r"\p{ASCII}": r"[\x00-\x7f]",
    r"\p{Zs}": "  ",
    r"\z": r"\Z",
    r"\w-": r"\w\-",
    r"\p{Alnum}": "A-Za-z0-9",
    r"\p{L}": "A-Za-zªµºÀ-ÖØ-öø-\U0002ffff",
    r"\p{M}": "\u0300-\u036f",
    r"\p{N}": "0-9",
    r"\p{Z}": "  ",
    r"\p{S}": "$+<=>^`|~",
    r"\p{P}": r"!-#%-*,-/:;?@\[-\]_{}",
    r"\uD800\uDC00-\uDBFF\uDFFF": "\U00010000-\U0010ffff",
    ")${1,": "){1,",
}
