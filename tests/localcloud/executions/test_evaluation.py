# SPDX-License-Identifier: Apache-2.0
"""What expressions of a pipeline definition stand for, and when they fail."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.definitions.expressions import ExpressionError, Reference
from localcloud.executions.evaluation import Scope, evaluate, holds

REPORT = {"gate": {"passed": True, "mAP": 0.71, "none": None, "rules": [{"rule": "mAP 50"}]}, "per class": {"a.b": 3}}


def read_json(source: Reference | str) -> Any:
    assert source in (Reference("Steps", "Evaluate", ("PropertyFiles", "Evaluation")), "s3://bucket/abc/report.json")
    return REPORT


SCOPE = Scope(
    parameters={"Steps": 100, "Threshold": 0.5, "Bucket": "bucket", "Fast": True},
    execution={"PipelineExecutionId": "abc"},
    steps={
        "Prepare": {
            "ProcessingOutputConfig": {
                "Outputs": [
                    {"OutputName": "train", "S3Output": {"S3Uri": "s3://bucket/train"}},
                    {"OutputName": "test", "S3Output": {"S3Uri": "s3://bucket/test"}},
                ]
            }
        },
        "Find": {"OutputParameters": {"Uri": "s3://bucket/champion"}},
        "Register": {"InferenceSpecification": {"Containers": [{"Image": "image"}]}},
        "Train": {"FinalMetricDataList": [{"MetricName": "train:loss", "Value": 0.5}]},
    },
    read_json=read_json,
)


def get(reference: str) -> Any:
    return evaluate({"Get": reference}, SCOPE)


def json_get(path: str) -> dict[str, Any]:
    return {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Evaluation"}, "Path": path}}


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("Parameters.Steps", 100),
        ("Execution.PipelineExecutionId", "abc"),
        ("Steps.Prepare.ProcessingOutputConfig.Outputs['test'].S3Output.S3Uri", "s3://bucket/test"),
        ('Steps.Prepare.ProcessingOutputConfig.Outputs["train"].S3Output.S3Uri', "s3://bucket/train"),
        ("Steps.Register.InferenceSpecification.Containers[0].Image", "image"),
        ("Steps.Find.OutputParameters['Uri']", "s3://bucket/champion"),
        ("Steps.Train.FinalMetricDataList['train:loss'].Value", 0.5),
    ],
)
def test_get_reaches_parameters_variables_and_properties(reference: str, value: Any) -> None:
    assert get(reference) == value


@pytest.mark.parametrize(
    "reference",
    [
        "Parameters.Unknown",
        "Execution.Unknown",
        "Steps.Later.ModelArtifacts",
        "Steps.Prepare.ProcessingOutputConfig.Outputs['none'].S3Output.S3Uri",
        "Steps.Register.InferenceSpecification.Containers[1].Image",
        "Somewhere.Else",
    ],
)
def test_get_of_nothing_is_an_error_that_names_the_reference(reference: str) -> None:
    with pytest.raises(ExpressionError, match=reference.split(".")[1].split("[")[0]):
        get(reference)


def test_join_makes_text_of_numbers_and_booleans_and_nests() -> None:
    parts = [{"Get": "Parameters.Bucket"}, {"Get": "Parameters.Steps"}, 0.0, {"Get": "Parameters.Fast"}]
    inner = {"Std:Join": {"On": "-", "Values": parts}}
    assert evaluate({"Std:Join": {"On": "/", "Values": ["s3:/", inner]}}, SCOPE) == "s3://bucket-100-0.0-true"


def test_everything_else_stays_as_it_is() -> None:
    value = {"a": [1, {"b": {"Get": "Parameters.Threshold"}, "c": None}], "Get": "x", "d": True}
    assert evaluate(value, SCOPE) == {"a": [1, {"b": 0.5, "c": None}], "Get": "x", "d": True}


@pytest.mark.parametrize(
    ("path", "value"),
    [("gate.passed", True), ("gate.rules[0].rule", "mAP 50"), ("['per class']['a.b']", 3), ("$.gate.mAP", 0.71)],
)
def test_json_get_follows_paths(path: str, value: Any) -> None:
    assert evaluate(json_get(path), SCOPE) == value


def test_json_get_takes_an_s3_uri() -> None:
    uri = {"Std:Join": {"On": "/", "Values": ["s3://bucket", {"Get": "Execution.PipelineExecutionId"}, "report.json"]}}
    assert evaluate({"Std:JsonGet": {"S3Uri": uri, "Path": "gate.mAP"}}, SCOPE) == 0.71


def condition(kind: str, left: Any, right: Any) -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


def test_conditions_compare_values_of_the_same_kind() -> None:
    assert holds(condition("Equals", json_get("gate.passed"), True), SCOPE)
    assert holds(condition("GreaterThanOrEqualTo", json_get("gate.mAP"), {"Get": "Parameters.Threshold"}), SCOPE)
    assert not holds(condition("LessThan", 1, 0.5), SCOPE)
    assert holds({"Type": "Not", "Expression": condition("Equals", 1, 2)}, SCOPE)
    assert holds({"Type": "Or", "Conditions": [condition("Equals", 1, 2), condition("Equals", "a", "a")]}, SCOPE)
    assert holds({"Type": "In", "QueryValue": "b", "Values": ["a", "b"]}, SCOPE)
    assert not holds(condition("Equals", True, 1), SCOPE), "true is no number"


@pytest.mark.parametrize("path", ["gate.none", "gate.absent", "gate.rules", "gate.rules[7]"])
def test_a_condition_on_a_missing_or_null_value_fails(path: str) -> None:
    with pytest.raises(ExpressionError):
        holds(condition("Equals", json_get(path), True), SCOPE)


def test_a_condition_between_text_and_number_fails() -> None:
    with pytest.raises(ExpressionError, match="both must be numbers"):
        holds(condition("GreaterThan", "0.7", 0.5), SCOPE)
