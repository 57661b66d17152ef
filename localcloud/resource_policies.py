# SPDX-License-Identifier: Apache-2.0
"""Whether a resource's policy lets an AWS service do something to it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def permits(policy: Mapping[str, Any] | str | None, service: str, action: str, source_arn: str, account: str) -> bool:
    """Whether the policy allows `service` the `action` on behalf of `source_arn`, and does not deny it.

    Conditions other than on the source's ARN and account are taken as not met in Allow and as not met in Deny
    statements: the caller is a service that speaks TLS.

    Args:
        policy: A policy document, as JSON or parsed; None is a resource without policy.
        service: "events.amazonaws.com".
        action: "lambda:InvokeFunction".
        source_arn: ARN of the rule, topic or bucket that calls.
        account: Account of that source.
    """
    document = json.loads(policy) if isinstance(policy, str) and policy else policy or {}
    statements = document.get("Statement", []) if isinstance(document, Mapping) else []
    statements = [statements] if isinstance(statements, Mapping) else statements
    context = {"aws:sourcearn": source_arn, "aws:sourceaccount": account, "aws:securetransport": "true"}
    applying = [
        statement
        for statement in statements
        if _names_service(statement.get("Principal"), service)
        and _any_matches(statement.get("Action", []), action)
        and _conditions_hold(statement.get("Condition", {}), context)
    ]
    effects = {statement["Effect"] for statement in applying}
    return "Allow" in effects and "Deny" not in effects


def _names_service(principal: Any, service: str) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        return False
    return _any_matches(principal.get("Service", []), service) or "*" in _list(principal.get("AWS", []))


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    for operator, keys in conditions.items():
        for key, wanted in keys.items():
            actual = context.get(key.lower())
            if actual is None:
                return False
            kind = operator.removesuffix("IfExists")
            if kind in ("ArnLike", "ArnEquals", "StringLike"):
                met = _any_matches(wanted, actual)
            elif kind in ("StringEquals", "Bool"):
                met = actual in [str(one).lower() if kind == "Bool" else one for one in _list(wanted)]
            else:
                met = False
            if not met:
                return False
    return True


def _any_matches(patterns: Any, value: str) -> bool:
    return any(
        re.fullmatch(re.escape(str(pattern)).replace(r"\*", ".*").replace(r"\?", "."), value, re.IGNORECASE)
        for pattern in _list(patterns)
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
