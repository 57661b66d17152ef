# SPDX-License-Identifier: Apache-2.0
"""Wildcards of actions, ARNs and values, and the variables in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

Context = Mapping[str, tuple[str, ...]]
"""Values of a request's condition keys; the keys are in small letters."""

ARN_PARTS = 6
_VARIABLE = re.compile(r"\$\{\s*([^},]*?)\s*(?:,\s*'([^']*)'\s*)?\}")
_LITERALS = {"*": "\0star\0", "?": "\0one\0", "$": "\0dollar\0"}


def like(pattern: str, value: str, *, ignoring_case: bool = False) -> bool:
    """Whether a value is what a pattern with `*` (any characters) and `?` (one) describes."""
    return _compiled(pattern, ignoring_case).fullmatch(value) is not None


def arn_like(pattern: str, arn: str) -> bool:
    """Whether an ARN is what a pattern describes, each of its six parts by itself; the last may hold colons.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    if pattern == "*":
        return True
    patterns, parts = pattern.split(":", ARN_PARTS - 1), arn.split(":", ARN_PARTS - 1)
    if len(patterns) < ARN_PARTS and pattern.endswith("*"):
        parts = arn.split(":", len(patterns) - 1)
    return len(patterns) == len(parts) and all(like(one, part) for one, part in zip(patterns, parts, strict=True))


def filled(text: str, context: Context) -> str | None:
    """A text with its variables replaced, which no wildcard in a value can widen; None where one has no value.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    if "${" not in text:
        return text
    missing = False

    def value_of(match: re.Match[str]) -> str:
        nonlocal missing
        name, default = match[1], match[2]
        if name in _LITERALS:
            return _LITERALS[name]
        values = context.get(name.lower(), ())
        if len(values) == 1 or default is not None:
            told = values[0] if len(values) == 1 else default
            return told.replace("*", _LITERALS["*"]).replace("?", _LITERALS["?"])
        missing = True
        return ""

    result = _VARIABLE.sub(value_of, text)
    return None if missing else result


def plain(text: str) -> str:
    """A filled text as it reads, where wildcards mean nothing."""
    for character, literal in _LITERALS.items():
        text = text.replace(literal, character)
    return text


@lru_cache(maxsize=4096)
def _compiled(pattern: str, ignoring_case: bool) -> re.Pattern[str]:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    for character, literal in _LITERALS.items():
        expression = expression.replace(re.escape(literal), re.escape(character))
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if ignoring_case else 0))
