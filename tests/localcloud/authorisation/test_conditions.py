# SPDX-License-Identifier: Apache-2.0
"""Condition operators, each as IAM's user guide describes it."""

from __future__ import annotations

import pytest

from localcloud.authorisation.conditions import OPERATORS, Condition, fault_of

GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
OPERATOR_PAGE = f"{GUIDE}/reference_policies_elements_condition_operators.html"
SEVERAL_VALUES_PAGE = f"{GUIDE}/reference_policies_condition-single-vs-multi-valued-context-keys.html"
LOGIC_PAGE = f"{GUIDE}/reference_policies_condition-logic-multiple-context-keys-or-values.html"
VARIABLES_PAGE = f"{GUIDE}/reference_policies_variables.html"
ROLE = "arn:aws:iam::123456789012:role/service-role/trainer"

CASES = [
    ("StringEquals", ["a"], ["a"], True, OPERATOR_PAGE),
    ("StringEquals", ["a"], ["A"], False, OPERATOR_PAGE),
    ("StringEquals", ["a*"], ["ab"], False, OPERATOR_PAGE),
    ("StringEquals", ["a", "b"], ["b"], True, LOGIC_PAGE),
    ("StringEquals", ["a"], [], False, OPERATOR_PAGE),
    ("StringNotEquals", ["a", "b"], ["b"], False, LOGIC_PAGE),
    ("StringNotEquals", ["a", "b"], ["c"], True, LOGIC_PAGE),
    ("StringNotEquals", ["a"], [], True, OPERATOR_PAGE),
    ("StringEqualsIgnoreCase", ["a"], ["A"], True, OPERATOR_PAGE),
    ("StringNotEqualsIgnoreCase", ["a"], ["A"], False, OPERATOR_PAGE),
    ("StringLike", ["a*c?"], ["abbcd"], True, OPERATOR_PAGE),
    ("StringLike", ["a?"], ["a"], False, OPERATOR_PAGE),
    ("StringNotLike", ["a*"], ["abc"], False, OPERATOR_PAGE),
    ("StringNotLike", ["a*"], [], True, OPERATOR_PAGE),
    ("NumericEquals", ["10"], ["10.0"], True, OPERATOR_PAGE),
    ("NumericNotEquals", ["10"], ["9"], True, OPERATOR_PAGE),
    ("NumericLessThan", ["10"], ["9"], True, OPERATOR_PAGE),
    ("NumericLessThan", ["10"], ["10"], False, OPERATOR_PAGE),
    ("NumericLessThanEquals", ["10"], ["10"], True, OPERATOR_PAGE),
    ("NumericGreaterThan", ["10"], ["10"], False, OPERATOR_PAGE),
    ("NumericGreaterThanEquals", ["10"], ["10"], True, OPERATOR_PAGE),
    ("NumericGreaterThan", ["10"], ["many"], False, OPERATOR_PAGE),
    ("DateLessThan", ["2026-11-30T00:00:00Z"], ["2026-11-29T23:59:59Z"], True, OPERATOR_PAGE),
    ("DateLessThanEquals", ["2026-11-30T00:00:00Z"], ["2026-11-30T00:00:00Z"], True, OPERATOR_PAGE),
    ("DateGreaterThan", ["2026-11-30T00:00:00Z"], ["2026-11-30T00:00:00Z"], False, OPERATOR_PAGE),
    ("DateGreaterThanEquals", ["1764460800"], ["2025-11-30T00:00:00Z"], True, OPERATOR_PAGE),
    ("DateEquals", ["2026-11-30T01:00:00+01:00"], ["2026-11-30T00:00:00Z"], True, OPERATOR_PAGE),
    ("DateNotEquals", ["2026-11-30T00:00:00Z"], ["2026-11-30T00:00:00Z"], False, OPERATOR_PAGE),
    ("Bool", ["true"], ["true"], True, OPERATOR_PAGE),
    ("Bool", ["false"], ["true"], False, OPERATOR_PAGE),
    ("Bool", ["false"], [], False, OPERATOR_PAGE),
    ("BinaryEquals", ["QmluYXJ5"], ["QmluYXJ5"], True, OPERATOR_PAGE),
    ("IpAddress", ["203.0.113.0/24"], ["203.0.113.9"], True, OPERATOR_PAGE),
    ("IpAddress", ["203.0.113.0/24"], ["198.51.100.1"], False, OPERATOR_PAGE),
    ("IpAddress", ["2001:db8::/32"], ["2001:db8::1"], True, OPERATOR_PAGE),
    ("NotIpAddress", ["203.0.113.0/24"], ["203.0.113.9"], False, OPERATOR_PAGE),
    ("NotIpAddress", ["203.0.113.0/24"], [], True, OPERATOR_PAGE),
    ("ArnEquals", ["arn:aws:iam::*:role/service-role/*"], [ROLE], True, OPERATOR_PAGE),
    ("ArnLike", ["arn:aws:iam::*:role/trainer"], [ROLE], False, OPERATOR_PAGE),
    ("ArnLike", ["arn:aws:*:*:*:role/trainer"], [ROLE], False, OPERATOR_PAGE),
    ("ArnLike", ["arn:aws:sqs:*:*:a"], ["arn:aws:sqs:us-east-1:1:a"], True, OPERATOR_PAGE),
    ("ArnNotEquals", ["arn:aws:iam::*:role/*"], [ROLE], False, OPERATOR_PAGE),
    ("ArnNotLike", ["arn:aws:iam::*:user/*"], [ROLE], True, OPERATOR_PAGE),
    ("ArnNotLike", ["arn:aws:iam::*:user/*"], [], True, OPERATOR_PAGE),
    ("Null", ["true"], [], True, OPERATOR_PAGE),
    ("Null", ["true"], ["a"], False, OPERATOR_PAGE),
    ("Null", ["false"], ["a"], True, OPERATOR_PAGE),
    ("Null", ["false"], [], False, OPERATOR_PAGE),
    ("StringEqualsIfExists", ["a"], [], True, OPERATOR_PAGE),
    ("StringEqualsIfExists", ["a"], ["b"], False, OPERATOR_PAGE),
    ("BoolIfExists", ["false"], [], True, OPERATOR_PAGE),
    ("ForAllValues:StringEquals", ["a", "b"], ["a"], True, SEVERAL_VALUES_PAGE),
    ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False, SEVERAL_VALUES_PAGE),
    ("ForAllValues:StringEquals", ["a"], [], True, SEVERAL_VALUES_PAGE),
    ("ForAllValues:StringNotEquals", ["a"], ["b", "c"], True, SEVERAL_VALUES_PAGE),
    ("ForAllValues:StringNotEquals", ["a"], ["a", "c"], False, SEVERAL_VALUES_PAGE),
    ("ForAnyValue:StringEquals", ["a"], ["a", "c"], True, SEVERAL_VALUES_PAGE),
    ("ForAnyValue:StringEquals", ["a"], ["b", "c"], False, SEVERAL_VALUES_PAGE),
    ("ForAnyValue:StringEquals", ["a"], [], False, SEVERAL_VALUES_PAGE),
    ("ForAnyValue:StringNotEquals", ["a"], ["a", "c"], True, SEVERAL_VALUES_PAGE),
    ("ForAnyValue:StringNotEquals", ["a"], [], False, SEVERAL_VALUES_PAGE),
    ("ForAnyValue:StringLikeIfExists", ["a*"], [], True, SEVERAL_VALUES_PAGE),
    ("StringEquals", ["${aws:username}"], ["ann"], True, VARIABLES_PAGE),
    ("StringEquals", ["${aws:PrincipalTag/team}"], ["red"], False, VARIABLES_PAGE),
    ("StringEquals", ["${aws:PrincipalTag/team, 'red'}"], ["red"], True, VARIABLES_PAGE),
    ("StringLike", ["a${*}"], ["a*"], True, VARIABLES_PAGE),
    ("StringLike", ["a${*}"], ["ab"], False, VARIABLES_PAGE),
    ("StringEquals", ["a${$}{b}"], ["a${b}"], True, VARIABLES_PAGE),
]


@pytest.mark.parametrize(("operator", "wanted", "actual", "holds", "page"), CASES)
def test_operators_hold_as_the_guide_says(
    operator: str, wanted: list[str], actual: list[str], holds: bool, page: str
) -> None:
    condition = Condition(operator, "aws:Key", tuple(wanted))
    context = {"aws:key": tuple(actual), "aws:username": ("ann",)}

    assert fault_of(condition) == ""
    assert condition.holds(context) is holds, page


def test_every_operator_has_a_case() -> None:
    tried = {operator.rpartition(":")[2].removesuffix("IfExists") for operator, *_ in CASES}

    assert tried == {*OPERATORS, "Null"}


def test_a_wildcard_in_the_value_of_a_variable_widens_nothing() -> None:
    condition = Condition("StringLike", "s3:prefix", ("home/${aws:username}/*",))

    assert not condition.holds({"s3:prefix": ("home/bob/x",), "aws:username": ("*",)})
    assert condition.holds({"s3:prefix": ("home/*/x",), "aws:username": ("*",)})


@pytest.mark.parametrize(
    ("operator", "value", "fault"),
    [
        ("StringMatches", "a", "Invalid Condition type : StringMatches"),
        ("NullIfExists", "true", "Invalid Condition type : NullIfExists"),
        ("ForSomeValues:StringEquals", "a", "Invalid Condition type : ForSomeValues:StringEquals"),
        ("NumericEquals", "ten", "Invalid value 'ten'"),
        ("DateLessThan", "tomorrow", "Invalid value 'tomorrow'"),
        ("Bool", "yes", "Invalid value 'yes'"),
        ("Null", "0", "Invalid value '0'"),
        ("NotIpAddress", "localhost", "Invalid value 'localhost'"),
        ("ArnLike", "role/x", "Invalid value 'role/x'"),
    ],
)
def test_what_could_never_hold_is_a_fault(operator: str, value: str, fault: str) -> None:
    assert fault_of(Condition(operator, "aws:Key", (value,))).startswith(fault)
