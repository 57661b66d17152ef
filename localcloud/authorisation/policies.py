# SPDX-License-Identifier: Apache-2.0
"""Policy documents: read strictly, since what is misread allows or denies what nobody meant.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from localcloud.authorisation.condition_keys import is_known
from localcloud.authorisation.conditions import Condition, fault_of
from localcloud.authorisation.patterns import ARN_PARTS

Kind = Literal["identity", "resource", "trust"]
"""Attached to a user or role; to a resource; to a role as the policy that says who may assume it."""
PRINCIPAL_KINDS = ("AWS", "CanonicalUser", "Federated", "Service")
_ELEMENTS = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
_ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")


class PolicyError(Exception):
    """A document that no policy can be; the message is IAM's where it is known."""


@dataclass(frozen=True)
class Statement:
    """One statement; a pair says with its first whether the second is what is meant, or all that it does not name.

    Attributes:
        sid: Its name, empty where it has none.
        allows: False where it denies.
        actions: Patterns.
        resources: Patterns; None where the statement names none, as in policies of repositories and roles.
        principals: (kind, pattern); None in policies of identities.
        conditions: All of which must hold.
        policy: Name of the policy.
    """

    sid: str
    allows: bool
    actions: tuple[bool, tuple[str, ...]]
    resources: tuple[bool, tuple[str, ...]] | None
    principals: tuple[bool, tuple[tuple[str, str], ...]] | None
    conditions: tuple[Condition, ...]
    policy: str = ""


@dataclass(frozen=True)
class Policy:
    """A policy that can be evaluated.

    Attributes:
        name: Of an identity's policy; empty for others.
        statements: In the document's order.
    """

    name: str
    statements: tuple[Statement, ...]


def parse(document: str | Mapping[str, Any], kind: Kind, name: str = "", *, strict: bool = True) -> Policy:
    """Read a policy document.

    Args:
        document: JSON text, or what it says.
        kind: Where the policy belongs, which says what its statements must have.
        name: Of the policy.
        strict: Whether an unknown condition key is an error. Otherwise, as for AWS's own policies, a statement with
            one allows nothing, or denies as if the condition held.

    Raises:
        PolicyError: It is malformed, or has a condition operator or key whose meaning is not known here.
    """
    return _parsed(document if isinstance(document, str) else json.dumps(document), kind, name, strict)


@lru_cache(maxsize=1024)
def _parsed(text: str, kind: Kind, name: str, strict: bool) -> Policy:
    try:
        document = json.loads(text)
    except ValueError:
        raise PolicyError("This policy contains invalid Json") from None
    if not isinstance(document, dict) or set(document) - {"Version", "Id", "Statement"} or "Statement" not in document:
        raise PolicyError("Syntax errors in policy.")
    if document.get("Version", "2008-10-17") not in ("2008-10-17", "2012-10-17"):
        raise PolicyError("The policy must contain a valid version string")
    statements = tuple(_statement(each, kind, name, strict) for each in _list(document["Statement"]))
    sids = [each.sid for each in statements if each.sid]
    if len(sids) != len(set(sids)):
        raise PolicyError("Statement IDs (SID) in a single policy must be unique.")
    return Policy(name, statements)


def _statement(given: Any, kind: Kind, policy: str, strict: bool) -> Statement:
    if not isinstance(given, dict) or set(given) - _ELEMENTS:
        raise PolicyError("Syntax errors in policy.")
    if given.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"Invalid effect: {given.get('Effect')}")
    actions = _named(given, "Action")
    if actions is None:
        raise PolicyError("Policy statement must contain actions.")
    for action in actions[1]:
        if not _ACTION.fullmatch(action):
            raise PolicyError("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    resources = _named(given, "Resource")
    _check_places(given, kind, resources)
    for resource in resources[1] if resources else ():
        if resource != "*" and not _could_be_arn(resource):
            raise PolicyError(f'Resource {resource} must be in ARN format or "*".')
    conditions = _conditions(given.get("Condition", {}))
    unknown = [condition.key for condition in conditions if not is_known(condition.key)]
    if unknown and strict:
        raise PolicyError(f"the emulated cloud does not know the condition key {unknown[0]}: it cannot evaluate it")
    return Statement(
        sid=str(given.get("Sid", "")),
        allows=given["Effect"] == "Allow",
        actions=actions,
        resources=resources,
        principals=_principals(given) if kind != "identity" else None,
        conditions=conditions if not unknown else _closed(conditions, unknown, allows=given["Effect"] == "Allow"),
        policy=policy,
    )


def _check_places(given: Mapping[str, Any], kind: Kind, resources: Any) -> None:
    """Which elements a policy of a kind must have, and which it must not."""
    has_principal = bool({"Principal", "NotPrincipal"} & set(given))
    if kind == "identity":
        if has_principal:
            raise PolicyError("Policy document should not specify a principal.")
        if resources is None:
            raise PolicyError("Policy statement must contain resources.")
    elif not has_principal:
        raise PolicyError("Policy statement must contain a principal.")
    if kind == "trust" and resources is not None:
        raise PolicyError("Has prohibited field Resource")


def _named(given: Mapping[str, Any], element: str) -> tuple[bool, tuple[str, ...]] | None:
    """What `Action` or `NotAction` names; None where the statement has neither. An empty list names nothing.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html
    """
    present = [name for name in (element, f"Not{element}") if name in given]
    if not present:
        return None
    values = _list(given[present[0]])
    if len(present) > 1 or not all(isinstance(value, str) and value for value in values):
        raise PolicyError("Syntax errors in policy.")
    return present[0] == element, tuple(values)


def _principals(given: Mapping[str, Any]) -> tuple[bool, tuple[tuple[str, str], ...]]:
    named = "Principal" in given
    if named and "NotPrincipal" in given:
        raise PolicyError("Syntax errors in policy.")
    value = given["Principal" if named else "NotPrincipal"]
    if value == "*":
        return named, (("*", "*"),)
    if not isinstance(value, dict) or not value or set(value) - set(PRINCIPAL_KINDS):
        raise PolicyError("Invalid principal in policy")
    pairs = tuple((kind, each) for kind, values in value.items() for each in _list(values))
    for kind, each in pairs:
        if not isinstance(each, str) or (kind == "AWS" and "*" in each and each != "*"):
            raise PolicyError("Invalid principal in policy")
    return named, pairs


def _conditions(given: Any) -> tuple[Condition, ...]:
    if not isinstance(given, dict) or not all(isinstance(keys, dict) for keys in given.values()):
        raise PolicyError("Syntax errors in policy.")
    conditions = []
    for operator, keys in given.items():
        for key, values in keys.items():
            condition = Condition(operator, key, tuple(_text(value) for value in _list(values)))
            if fault := fault_of(condition):
                raise PolicyError(fault)
            conditions.append(condition)
    return tuple(conditions)


def _closed(conditions: tuple[Condition, ...], unknown: list[str], *, allows: bool) -> tuple[Condition, ...]:
    """Conditions of which some cannot be evaluated, so that nobody is allowed more or denied less than is written."""
    never = (Condition("Null", "aws:PrincipalAccount", ("true",)),) if allows else ()
    return (*(condition for condition in conditions if condition.key not in unknown), *never)


def _could_be_arn(text: str) -> bool:
    return text.startswith(("arn:", "${")) and (text.count(":") >= ARN_PARTS - 1 or text.endswith("*"))


def _text(value: Any) -> str:
    if isinstance(value, dict | list) or value is None:
        raise PolicyError("Syntax errors in policy.")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
