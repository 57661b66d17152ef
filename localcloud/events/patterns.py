# SPDX-License-Identifier: Apache-2.0
"""Event patterns as EventBridge reads them: what it refuses, and which events match.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

import ipaddress
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MOST_WILDCARDS = 5
"""A rule with more is too complex. AWS weighs what follows each wildcard too; in which way it does not say."""
GREATEST_NUMBER = 5e9
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ABSENT = object()
Test = Callable[[Any], bool]
"""Of one value of an event, or of `_ABSENT`."""
Tests = Mapping[str, Any]
"""By name: the tests of a field, one of which has to hold, or the tests of an object; `$or` has a list of these."""


class PatternError(ValueError):
    """A pattern that EventBridge refuses with InvalidEventPatternException."""


class EventPattern:
    """A pattern that EventBridge takes.

    Args:
        text: JSON.

    Raises:
        PatternError: EventBridge refuses it.
    """

    def __init__(self, text: str) -> None:
        try:
            pattern = json.loads(text)
        except ValueError as error:
            raise PatternError(f"Event pattern is not valid. Reason: {error}") from None
        if not isinstance(pattern, dict):
            raise PatternError("Event pattern is not valid. Reason: Filter is not an object")
        self._tests = _object(_nested(pattern))

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether an event, as a target gets it, matches."""
        return _holds(self._tests, _nested(event))


def _nested(value: Any) -> Any:
    """The same with `{"a.b": 1}` written `{"a": {"b": 1}}`: AWS does not tell the two from each other."""
    if isinstance(value, list):
        return [_nested(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    made: dict[str, Any] = {}
    for name, below in value.items():
        *outer, last = name.split(".")
        place = made
        for part in outer:
            inner = place.setdefault(part, {})
            place = inner if isinstance(inner, dict) else {}
        found = _nested(below)
        both = isinstance(found, dict) and isinstance(place.get(last), dict)
        place[last] = {**place[last], **found} if both else found
    return made


def _holds(tests: Tests, value: Any) -> bool:
    if isinstance(value, list):
        return any(_holds(tests, each) for each in value)
    fields = value if isinstance(value, Mapping) else {}
    for name, test in tests.items():
        if name == "$or":
            if not any(_holds(alternative, fields) for alternative in test):
                return False
        elif isinstance(test, Mapping):
            if not _holds(test, fields.get(name)):
                return False
        elif not any(each(one) for one in _values(fields.get(name, _ABSENT)) for each in test):
            return False
    return True


def _values(value: Any) -> Iterator[Any]:
    """What is compared: the members of a list, and nothing of an object, which is another field's parent."""
    values = [each for each in (value if isinstance(value, list) else [value]) if not isinstance(each, Mapping)]
    yield from values or [_ABSENT]


def _object(pattern: Mapping[str, Any]) -> Tests:
    if not pattern:
        raise _refused("Empty objects are not allowed")
    tests: dict[str, Any] = {}
    for name, below in pattern.items():
        if name == "$or" and isinstance(below, list) and len(below) > 1 and all(isinstance(one, dict) for one in below):
            tests[name] = [_object(one) for one in below]
        elif isinstance(below, dict):
            tests[name] = _object(below)
        elif isinstance(below, list) and below:
            tests[name] = [_test(one) for one in below]
        else:
            raise _refused(f'"{name}" must be an object or an array')
    return tests


def _test(rule: Any) -> Test:
    if not isinstance(rule, dict):
        if isinstance(rule, list):
            raise _refused("Match value must be String, number, true, false, or null")
        return _equal(rule)
    if len(rule) != 1:
        raise _refused("Only one key allowed in match expression")
    ((name, wanted),) = rule.items()
    if name == "exists":
        if not isinstance(wanted, bool):
            raise _refused("exists match pattern must be either true or false.")
        return lambda value: (value is not _ABSENT) == wanted
    if name == "numeric":
        return _numeric(wanted)
    if name == "cidr":
        return _cidr(wanted)
    if name == "anything-but":
        return _anything_but(wanted)
    if name in ("prefix", "suffix") and isinstance(wanted, dict) and set(wanted) == {"equals-ignore-case"}:
        return _of_text(name, _text(name, wanted["equals-ignore-case"]), any_case=True)
    if name in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
        return _of_text(name, _text(name, wanted))
    raise _refused(f"Unrecognized match type {name}")


def _equal(wanted: Any) -> Test:
    kind = _kind(wanted)
    return lambda value: _kind(value) == kind and value == wanted


def _kind(value: Any) -> str:
    """JSON's types: a number equals no truth value, however Python sees it."""
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _text(name: str, wanted: Any) -> str:
    if not isinstance(wanted, str):
        raise _refused(f"{name} match pattern must be a string")
    if name == "wildcard" and "**" in wanted:
        raise _refused(f"Consecutive wildcard characters at pos {wanted.index('**') + 1}")
    if name == "wildcard" and wanted.count("*") > MOST_WILDCARDS:
        raise _refused(
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a "
            "wildcard character"
        )
    return wanted


def _of_text(name: str, wanted: str, *, any_case: bool = False) -> Test:
    """A test of strings alone, by a regular expression that matches the whole."""
    body = {
        "prefix": f"{re.escape(wanted)}.*",
        "suffix": f".*{re.escape(wanted)}",
        "wildcard": ".*".join(re.escape(part) for part in wanted.split("*")),
        "equals-ignore-case": re.escape(wanted),
    }[name]
    flags = re.IGNORECASE if any_case or name == "equals-ignore-case" else re.NOFLAG
    expression = re.compile(body, flags | re.DOTALL)
    return lambda value: isinstance(value, str) and expression.fullmatch(value) is not None


def _anything_but(wanted: Any) -> Test:
    """Of what is there, whatever its type, that none of the tests holds."""
    if isinstance(wanted, dict):
        if len(wanted) != 1:
            raise _refused("Only one key allowed in match expression")
        ((name, texts),) = wanted.items()
        if name not in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
            raise _refused(f"Unsupported anything-but pattern: {name}")
        unwanted = [_of_text(name, _text(name, text)) for text in _listed(texts)]
        if name in ("prefix", "suffix") and "" in _listed(texts):
            raise _refused(f"Null {name} not allowed")
    else:
        values = _listed(wanted)
        if {_kind(value) for value in values} not in ({"str"}, {"number"}):
            raise _refused("Inside anything but list, start|null|boolean is not supported.")
        unwanted = [_equal(value) for value in values]
    return lambda value: value is not _ABSENT and not any(test(value) for test in unwanted)


def _listed(value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise _refused("Empty arrays are not allowed")
    return values


def _numeric(wanted: Any) -> Test:
    if not isinstance(wanted, list) or len(wanted) not in (2, 4):
        raise _refused("Value of numeric must be an array.")
    pairs = list(zip(wanted[::2], wanted[1::2], strict=True))
    for sign, number in pairs:
        if sign not in _COMPARISONS:
            raise _refused(f"Unrecognized numeric range operator: {sign}")
        if _kind(number) != "number" or abs(number) > GREATEST_NUMBER:
            raise _refused(f"Value of {sign} must be numeric, between -5.0E9 and 5.0E9")
    if len(pairs) == 2:
        (lower, least), (upper, most) = pairs
        if lower[0] != ">" or upper[0] != "<":
            raise _refused(f"Bad numeric range operator: {upper}")
        if least >= most:
            raise _refused("Bottom must be less than top")
    return lambda value: _kind(value) == "number" and all(_COMPARISONS[sign](value, number) for sign, number in pairs)


def _cidr(wanted: Any) -> Test:
    if not isinstance(wanted, str) or wanted.count("/") != 1:
        raise _refused("Malformed CIDR, one '/' required")
    try:
        network = ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        raise _refused(f"Malformed CIDR: {wanted}") from None

    def lies_inside(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return lies_inside


def _refused(reason: str) -> PatternError:
    return PatternError(f"Event pattern is not valid. Reason: {reason}")
