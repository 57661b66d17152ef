# SPDX-License-Identifier: Apache-2.0
"""Values that an execution is started with."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.executions.parameters import ParameterError, bound

DECLARED: list[dict[str, Any]] = [
    {"Name": "Uri", "Type": "String"},
    {"Name": "Steps", "Type": "Integer", "DefaultValue": 0},
    {"Name": "Threshold", "Type": "Float", "DefaultValue": 0.5},
    {"Name": "Fast", "Type": "Boolean", "DefaultValue": False},
    {"Name": "Size", "Type": "String", "DefaultValue": "s", "EnumValues": ["s", "m"]},
]


def test_given_values_are_typed_and_the_rest_keeps_its_defaults() -> None:
    given = [{"Name": "Uri", "Value": "s3://b"}, {"Name": "Steps", "Value": "7"}, {"Name": "Fast", "Value": "true"}]
    expected = {"Uri": "s3://b", "Steps": 7, "Fast": True, "Threshold": 0.5, "Size": "s"}
    assert bound(DECLARED, given) == expected


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("Uril", "x", "Unknown parameters .'Uril'."),
        ("Steps", "7.5", "Steps is '7.5', which is no Integer"),
        ("Threshold", "high", "Threshold is 'high', which is no Float"),
        ("Fast", "yes", "Fast is 'yes', which is no Boolean"),
        ("Size", "xl", "Size is 'xl', but must be one of"),
        ("Uri", "again", "given more than once"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: str, sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        bound(DECLARED, [{"Name": "Uri", "Value": "s3://b"}, {"Name": name, "Value": value}])


def test_a_parameter_without_default_must_be_given() -> None:
    with pytest.raises(ParameterError, match=r"'Uri'.*must be given"):
        bound(DECLARED, [])
