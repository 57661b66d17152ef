# SPDX-License-Identifier: Apache-2.0
"""The Condition element: operators, and whether they hold in a request's context.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

from __future__ import annotations

import contextlib
import ipaddress
import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localcloud.authorisation.patterns import ARN_PARTS, Context, arn_like, filled, like, plain

Matches = Callable[[str, str], bool]
"""Whether a wanted value, which a policy gives, is met by the actual one of a request."""


@dataclass(frozen=True)
class Condition:
    """One operator with one key.

    Attributes:
        operator: As the policy writes it, such as `ForAnyValue:StringLikeIfExists`.
        key: As the policy writes it.
        values: Of which one must be met, or none by an operator that negates.
    """

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, context: Context) -> bool:
        """Whether the context meets it."""
        quantifier, base, if_exists = parts_of(self.operator)
        actual = context.get(self.key.lower(), ())
        if base == "Null":
            return any((value.lower() == "true") != bool(actual) for value in self.values)
        matches, negates = OPERATORS[base]
        if not actual:
            return if_exists or quantifier == "ForAllValues" or (negates and quantifier != "ForAnyValue")
        wanted = [value for value in (filled(value, context) for value in self.values) if value is not None]

        def met(value: str) -> bool:
            return any(_safely(matches, each, value) for each in wanted) != negates

        return (
            all(map(met, actual))
            if quantifier == "ForAllValues" or (negates and not quantifier)
            else any(map(met, actual))
        )


def parts_of(operator_name: str) -> tuple[str, str, bool]:
    """`ForAllValues`, `ForAnyValue` or nothing; the operator itself; whether it ends in IfExists."""
    quantifier, _, rest = operator_name.rpartition(":")
    base = rest.removesuffix("IfExists")
    return quantifier, base, base != rest


def fault_of(condition: Condition) -> str:
    """What is wrong with a condition; empty if nothing is."""
    quantifier, base, if_exists = parts_of(condition.operator)
    known = base in OPERATORS or (base == "Null" and not if_exists and not quantifier)
    if not known or quantifier not in ("", "ForAllValues", "ForAnyValue"):
        return f"Invalid Condition type : {condition.operator}"
    readable = _READABLE.get(next((kind for kind in _READABLE if kind in base), ""))
    for value in condition.values:
        if readable and "${" not in value and not readable(value):
            return f"Invalid value {value!r} of {condition.key} for the condition operator {condition.operator}"
    return ""


def _safely(matches: Matches, wanted: str, actual: str) -> bool:
    """A value of a request that is not of the operator's kind meets nothing."""
    with contextlib.suppress(ValueError, TypeError):
        return matches(wanted, actual)
    return False


def _equals(wanted: str, actual: str) -> bool:
    return plain(wanted) == actual


def _equals_ignoring_case(wanted: str, actual: str) -> bool:
    return plain(wanted).lower() == actual.lower()


def _numbers(compare: Callable[[float, float], bool]) -> Matches:
    return lambda wanted, actual: compare(float(actual), float(wanted))


def _dates(compare: Callable[[datetime, datetime], bool]) -> Matches:
    return lambda wanted, actual: compare(_date(actual), _date(wanted))


def _date(text: str) -> datetime:
    """ISO 8601, or seconds since 1970."""
    if text.lstrip("-").isdigit() and len(text) > len("2026"):
        return datetime.fromtimestamp(int(text), UTC)
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _in_network(wanted: str, actual: str) -> bool:
    return ipaddress.ip_address(actual) in ipaddress.ip_network(wanted, strict=False)


def _is(kind: Callable[[str], Any]) -> Callable[[str], bool]:
    def readable(text: str) -> bool:
        with contextlib.suppress(ValueError):
            kind(text)
            return True
        return False

    return readable


def _is_boolean(text: str) -> bool:
    return text.lower() in ("true", "false")


def _is_arn(text: str) -> bool:
    return text == "*" or (text.startswith("arn:") and (text.count(":") >= ARN_PARTS - 1 or text.endswith("*")))


_READABLE: dict[str, Callable[[str], bool]] = {
    "Numeric": _is(float),
    "Date": _is(_date),
    "IpAddress": _is(lambda text: ipaddress.ip_network(text, strict=False)),
    "Bool": _is_boolean,
    "Null": _is_boolean,
    "Arn": _is_arn,
}
OPERATORS: dict[str, tuple[Matches, bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (like, False),
    "StringNotLike": (like, True),
    "NumericEquals": (_numbers(operator.eq), False),
    "NumericNotEquals": (_numbers(operator.eq), True),
    "NumericLessThan": (_numbers(operator.lt), False),
    "NumericLessThanEquals": (_numbers(operator.le), False),
    "NumericGreaterThan": (_numbers(operator.gt), False),
    "NumericGreaterThanEquals": (_numbers(operator.ge), False),
    "DateEquals": (_dates(operator.eq), False),
    "DateNotEquals": (_dates(operator.eq), True),
    "DateLessThan": (_dates(operator.lt), False),
    "DateLessThanEquals": (_dates(operator.le), False),
    "DateGreaterThan": (_dates(operator.gt), False),
    "DateGreaterThanEquals": (_dates(operator.ge), False),
    "Bool": (_equals_ignoring_case, False),
    "BinaryEquals": (_equals, False),
    "IpAddress": (_in_network, False),
    "NotIpAddress": (_in_network, True),
    "ArnEquals": (arn_like, False),
    "ArnLike": (arn_like, False),
    "ArnNotEquals": (arn_like, True),
    "ArnNotLike": (arn_like, True),
}
"""By name: how a value matches, and whether the operator holds where none does."""
