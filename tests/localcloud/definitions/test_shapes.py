# SPDX-License-Identifier: Apache-2.0
"""Values against the shapes of the service model."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.definitions.service_model import input_shape
from localcloud.definitions.shapes import MapKey, violations

TRAINING: dict[str, Any] = {
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
    "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
    "RoleArn": "arn:aws:iam::123456789012:role/training",
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}
NAME = frozenset({"TrainingJobName"})


def broken(**changed: Any) -> list[tuple[tuple[str | int, ...], str]]:
    found = violations({**TRAINING, **changed}, input_shape("Training"), supplied=NAME, expressions=True)
    return [(each.path, each.limit) for each in found]


def test_what_a_call_takes_breaks_nothing() -> None:
    assert broken() == []


@pytest.mark.parametrize(
    ("changed", "path", "limit"),
    [
        ({"RoleArn": None}, ("RoleArn",), "required"),
        ({"Rolle": "x"}, ("Rolle",), "unknown"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": True}}, ("StoppingCondition", "MaxRuntimeInSeconds"), "type"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, ("StoppingCondition", "MaxRuntimeInSeconds"), "min"),
        ({"RoleArn": "a" * 19}, ("RoleArn",), "min"),
        ({"Tags": [{"Key": "k", "Value": "v" * 257}]}, ("Tags", 0, "Value"), "max"),
        ({"HyperParameters": {"k" * 257: "v"}}, ("HyperParameters", "k" * 257), "max"),
        ({"OutputDataConfig": {"S3OutputPath": "ftp://b"}}, ("OutputDataConfig", "S3OutputPath"), "pattern"),
        ({"RoleArn": {"Get": "Parameters.Role"}}, ("RoleArn",), "expression"),
    ],
)
def test_a_broken_limit_is_named_with_its_path(
    changed: dict[str, Any], path: tuple[str | int, ...], limit: str
) -> None:
    assert (path, limit) in broken(**changed)


def test_an_expression_is_one_only_in_a_definition() -> None:
    changed = {**TRAINING, "HyperParameters": {"Get": "fast"}}
    assert not list(violations(changed, input_shape("Training"), supplied=NAME))


def test_a_key_of_a_map_can_be_told_from_a_member() -> None:
    (each,) = violations({"": "v"}, input_shape("Training").members["Environment"])  # type: ignore[attr-defined]
    assert isinstance(each.path[-1], MapKey)
    assert each.of_key
