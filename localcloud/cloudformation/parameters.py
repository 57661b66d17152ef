# SPDX-License-Identifier: Apache-2.0
"""A template's parameters: what a caller gives, what stands in its place, and what it comes to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from localcloud.clients import client
from localcloud.cloudformation.stacks import Stack
from localcloud.cloudformation.templates import TemplateError


def given(declared: Mapping[str, Any], asked: Sequence[Mapping[str, Any]], before: Mapping[str, str]) -> dict[str, str]:
    """Each parameter's text: as the caller gives it, as it was, or the template's default.

    Args:
        declared: The template's parameters.
        asked: As CreateStack takes them.
        before: What the stack was made with; empty for a new one.

    Raises:
        TemplateError: One that the template does not declare, or one without a value.
    """
    texts: dict[str, str] = {}
    for one in asked:
        key = one["ParameterKey"]
        if key not in declared:
            raise TemplateError(f"Parameters: [{key}] do not exist in the template")
        if one.get("UsePreviousValue") and key in before:
            texts[key] = before[key]
        elif "ParameterValue" in one:
            texts[key] = one["ParameterValue"]
    for key, parameter in declared.items():
        if key not in texts and "Default" in parameter:
            texts[key] = str(parameter["Default"])
    missing = sorted(set(declared) - set(texts))
    if missing:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    return texts


def value_of(stack: Stack, key: str, declared: Mapping[str, Any], text: str) -> Any:
    """A parameter's value: checked, looked up if it is the name of an SSM parameter, split if it is a list.

    Raises:
        TemplateError: The text is not one that the template allows, or names no SSM parameter.
    """
    kind = declared.get("Type", "String")
    allowed = declared.get("AllowedValues")
    if allowed and text not in map(str, allowed):
        raise TemplateError(f"Parameter '{key}' must be one of AllowedValues")
    pattern = declared.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, text):
        raise TemplateError(f"Parameter '{key}' must match pattern {pattern}")
    if kind.startswith("AWS::SSM::Parameter::Value"):
        try:
            answer = client("ssm", stack.account, stack.region).get_parameter(Name=text, WithDecryption=True)
        except ClientError as error:
            message = f"Unable to fetch parameters [{text}] from parameter store for this account."
            raise TemplateError(message) from error
        text = answer["Parameter"]["Value"]
    if kind == "Number" and not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise TemplateError(f"Parameter '{key}' must be a number.")
    if kind == "CommaDelimitedList" or kind.startswith("List<") or "<List<" in kind:
        return [part.strip() for part in text.split(",")] if text else []
    return text
