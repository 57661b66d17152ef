# SPDX-License-Identifier: Apache-2.0
"""What expressions say, before anything is known of what they refer to."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.definitions.expressions import (
    ExpressionError,
    Join,
    JsonGet,
    Reference,
    expressions,
    is_expression,
    read,
    referred_steps,
    select,
    tokens,
)

EVALUATION = {"Get": "Steps.Evaluate.PropertyFiles.Evaluation"}
FILE = Reference("Steps", "Evaluate", ("PropertyFiles", "Evaluation"))


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ({"Get": "Parameters.Steps"}, Reference("Parameters", "Steps")),
        ({"Get": "Execution.PipelineName"}, Reference("Execution", "PipelineName")),
        ({"Get": "Steps.Find.OutputParameters['Uri']"}, Reference("Steps", "Find", ("OutputParameters", "Uri"))),
        ({"Get": "Steps.Train"}, Reference("Steps", "Train", ())),
        (EVALUATION, FILE),
        ({"Std:Join": {"On": "/", "Values": ["a", {"Get": "x"}]}}, Join("/", ["a", {"Get": "x"}])),
        (
            {"Std:JsonGet": {"PropertyFile": EVALUATION, "Path": "a.b"}},
            JsonGet(FILE, "a.b"),
        ),
        ({"Std:JsonGet": {"S3Uri": "s3://b/k", "Path": "a"}}, JsonGet("s3://b/k", "a")),
    ],
)
def test_an_expression_is_read_by_its_parts(expression: dict[str, Any], said: Any) -> None:
    assert is_expression(expression)
    assert read(expression) == said


@pytest.mark.parametrize(
    ("expression", "rule"),
    [
        ({"Get": 7}, "7: Get takes a string"),
        ({"Get": "Role.Arn"}, "Role.Arn: must refer to Parameters, Execution or Steps"),
        ({"Get": "Steps.Train.Outputs[x"}, "does not parse at"),
        ({"Std:Join": {"Values": []}}, "takes On and Values"),
        ({"Std:Join": {"On": "", "Values": [[]]}}, "joins strings, numbers and expressions only"),
        ({"Std:JsonGet": {"PropertyFile": EVALUATION, "Path": {"Get": "x"}}}, "takes a Path"),
        ({"Std:JsonGet": {"PropertyFile": EVALUATION, "S3Uri": "s3://b/k", "Path": "a"}}, "either a PropertyFile or"),
        ({"Std:JsonGet": {"PropertyFile": {"Get": "Parameters.File"}, "Path": "a"}}, "must be a Get of Steps"),
    ],
)
def test_what_is_no_expression_of_sagemaker_is_named(expression: dict[str, Any], rule: str) -> None:
    with pytest.raises(ExpressionError, match=rule.replace("[", r"\[")):
        read(expression)


def test_an_object_with_more_than_the_function_is_a_value() -> None:
    assert not is_expression({"Get": "Parameters.Steps", "Note": ""})


def test_expressions_are_found_with_their_paths_inside_others_too() -> None:
    join = {"Std:Join": {"On": "", "Values": [{"Get": "Steps.Two['k']"}]}}
    value = {"a": [{"Get": "Steps.One.X"}, join], "b": {"Std:JsonGet": {"PropertyFile": EVALUATION, "Path": "x"}}}
    assert [path for path, _ in expressions(value, "Arguments")] == [
        "Arguments.a[0]",
        "Arguments.a[1]",
        "Arguments.a[1].Std:Join.Values[0]",
        "Arguments.b",
        "Arguments.b.Std:JsonGet.PropertyFile",
    ]
    assert referred_steps(value) == {"One", "Two", "Evaluate"}


def test_a_path_leads_through_members_indices_and_names() -> None:
    document = {"Outputs": [{"OutputName": "train", "S3": {"Uri": 1}}, {"OutputName": "test", "S3": {"Uri": 2}}]}
    assert tokens("Outputs['train'][0].a") == ["Outputs", "train", 0, "a"]
    assert select(document, "$.Outputs['test'].S3.Uri") == select(document, "Outputs[1].S3.Uri") == 2
    with pytest.raises(ExpressionError, match=r"Outputs\[2\]: does not exist: there is no 2 in it"):
        select(document, "Outputs[2]")
