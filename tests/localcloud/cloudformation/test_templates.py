# SPDX-License-Identifier: Apache-2.0
"""Intrinsic functions, conditions and the order of resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from localcloud.cloudformation.templates import Resolver, TemplateError, order, parse, references


def resolver(template: Mapping[str, Any] | None = None, **parameters: Any) -> Resolver:
    return Resolver(
        template or {},
        parameters,
        {"AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"},
        lambda name: f"id-of-{name}",
        lambda name, attribute: f"{attribute}-of-{name}",
        lambda name: f"import-of-{name}",
        lambda what: f"value-of-{what}",
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Thing"}, "id-of-Thing"),
        ({"Ref": "Given"}, "g"),
        ({"Fn::GetAtt": ["Thing", "Arn"]}, "Arn-of-Thing"),
        ({"Fn::GetAtt": "Thing.A.B"}, "A.B-of-Thing"),
        ({"Fn::Sub": "${AWS::Region}/${Thing}/${Thing.Arn}/${!kept}"}, "us-east-1/id-of-Thing/Arn-of-Thing/${kept}"),
        ({"Fn::Sub": ["${x}-${Given}", {"x": {"Ref": "Thing"}}]}, "id-of-Thing-g"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Given"}, 3]]}, "a-g-3"),
        ({"Fn::Select": ["1", {"Fn::Split": [",", "a,b,c"]}]}, "b"),
        ({"Fn::ImportValue": {"Fn::Sub": "${Given}x"}}, "import-of-gx"),
        ({"Fn::Base64": "a"}, "YQ=="),
        ("{{resolve:ssm:/a}}/b", "value-of-ssm:/a/b"),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "AWS::NoValue"}, 1]}, {"b": [1]}),
    ],
)
def test_functions_resolve(value: Any, expected: Any) -> None:
    assert resolver(Given="g").resolve(value) == expected


def test_conditions_choose() -> None:
    template = {
        "Conditions": {
            "IsProduction": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
            "IsOther": {"Fn::Not": [{"Condition": "IsProduction"}]},
        }
    }
    found = resolver(template, Stage="prod")
    assert found.resolve({"Fn::If": ["IsOther", 1, {"Fn::If": ["IsProduction", 2, 3]}]}) == 2


def test_an_unknown_function_is_an_error() -> None:
    with pytest.raises(TemplateError, match="Fn::Banana"):
        resolver().resolve({"Fn::Banana": 1})


def test_yaml_short_forms_are_read() -> None:
    template = parse("Resources:\n  A:\n    Type: T\n    Properties: {B: !Sub '${AWS::Region}', C: !GetAtt D.Arn}\n")
    assert template["Resources"]["A"]["Properties"] == {
        "B": {"Fn::Sub": "${AWS::Region}"},
        "C": {"Fn::GetAtt": "D.Arn"},
    }


def test_resources_come_after_what_they_need() -> None:
    resources = {
        "Last": {"Type": "T", "DependsOn": "Middle"},
        "Middle": {"Type": "T", "Properties": {"x": {"Fn::Sub": "${First.Arn}"}}},
        "First": {"Type": "T"},
    }
    assert order({"Resources": resources}, set(resources)) == ["First", "Middle", "Last"]


def test_circles_and_dangling_references_are_named() -> None:
    circle = {"A": {"DependsOn": "B"}, "B": {"DependsOn": ["A"]}}
    with pytest.raises(TemplateError, match="Circular dependency"):
        order({"Resources": circle}, {"A", "B"})
    with pytest.raises(TemplateError, match="Nowhere"):
        order({"Resources": {"A": {"Properties": {"Ref": "Nowhere"}}}}, {"A"})


def test_references_skip_literals_and_local_names() -> None:
    assert set(references({"Fn::Sub": ["${a}${B.C}${!D}", {"a": {"Ref": "E"}}]})) == {("B", "C"), ("E", "")}
