# SPDX-License-Identifier: Apache-2.0
"""A template's parameters: given, kept or by default; checked; read as what they are."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.cloudformation.parameters import given, value_of
from localcloud.cloudformation.stacks import Stack
from localcloud.cloudformation.templates import TemplateError

STACK = Stack("123456789012", "us-east-1", "s", "arn", "{}")


def test_a_parameter_is_what_was_given_else_what_it_was_else_its_default() -> None:
    declared = {"Given": {"Default": "d"}, "Kept": {"Default": "d"}, "Default": {"Default": 3}}
    asked: list[dict[str, Any]] = [
        {"ParameterKey": "Given", "ParameterValue": "g"},
        {"ParameterKey": "Kept", "UsePreviousValue": True},
    ]
    assert given(declared, asked, {"Kept": "k", "Given": "old"}) == {"Given": "g", "Kept": "k", "Default": "3"}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [([], r"\[Needed\] must have values"), ([{"ParameterKey": "Other", "ParameterValue": "o"}], r"\[Other\] do not")],
)
def test_unknown_and_missing_parameters_are_named(asked: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(TemplateError, match=sentence):
        given({"Needed": {}}, asked, {})


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [({"Type": "Number"}, "-1.5", "-1.5"), ({"Type": "CommaDelimitedList"}, "a, b", ["a", "b"]), ({}, "x", "x")],
)
def test_lists_are_split(declared: dict[str, Any], text: str, value: Any) -> None:
    assert value_of(STACK, "P", declared, text) == value


@pytest.mark.parametrize(
    "declared", [{"Type": "Number"}, {"AllowedValues": ["a", 1]}, {"AllowedPattern": "[a-z]"}, {"AllowedPattern": "aa"}]
)
def test_a_value_that_the_template_does_not_allow_is_refused(declared: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match="Parameter 'P' must"):
        value_of(STACK, "P", declared, "aB")
