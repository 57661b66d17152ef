# SPDX-License-Identifier: Apache-2.0
"""What IAM refuses."""

from __future__ import annotations

import re
from typing import Any

from moto.iam.exceptions import NotFoundException

from localcloud.dispatch import Call, backend
from localcloud.refusals.refusal import documented, parameter, recorded

_TESTS = "iam/test_iam.py"
_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+")
_QUOTAS = "IAM/latest/UserGuide/reference_iam-quotas"
_EXCEEDED = "LimitExceeded"
_PARTITION = "aws"
_OF_ROLE, _MANAGED, _TRUST, _ATTACHED = 10_240, 6_144, 2_048, 10


@recorded("iam", "AttachRolePolicy DetachRolePolicy", "ValidationError", _TESTS)
def _no_arn(call: Call) -> str:
    return "" if _ARN.fullmatch(call.parameters["PolicyArn"]) else "Invalid ARN:  Could not be parsed!"


@documented("iam", "CreatePolicy CreatePolicyVersion", _QUOTAS, _EXCEEDED)
def _long_managed_policy(call: Call) -> str:
    is_long = _characters(parameter(call, "PolicyDocument")) > _MANAGED
    return f"Cannot exceed quota for PolicySize: {_MANAGED}" if is_long else ""


@documented("iam", "CreateRole UpdateAssumeRolePolicy", _QUOTAS, _EXCEEDED)
def _long_trust_policy(call: Call) -> str:
    document = parameter(call, "AssumeRolePolicyDocument") or parameter(call, "PolicyDocument")
    return f"Cannot exceed quota for ACLSizePerRole: {_TRUST}" if _characters(document) > _TRUST else ""


@documented("iam", "PutRolePolicy", _QUOTAS, _EXCEEDED)
def _long_policies_of_a_role(call: Call) -> str:
    """All policies in a role, the one that is put in the place of its former self."""
    role, name = _role(call), parameter(call, "PolicyName")
    if role is None:
        return ""
    documents = {**role.policies, name: parameter(call, "PolicyDocument")}
    is_long = sum(map(_characters, documents.values())) > _OF_ROLE
    return f"Maximum policy size of {_OF_ROLE} bytes exceeded for role {role.name}" if is_long else ""


@documented("iam", "AttachRolePolicy", _QUOTAS, _EXCEEDED)
def _policies_that_are_one_too_many(call: Call) -> str:
    role = _role(call)
    if role is None or parameter(call, "PolicyArn") in role.managed_policies:
        return ""
    return f"Cannot exceed quota for PoliciesPerRole: {_ATTACHED}" if len(role.managed_policies) >= _ATTACHED else ""


def _role(call: Call) -> Any:
    """The role that a call names, or None."""
    try:
        return backend("iam", call.account, _PARTITION).get_role(parameter(call, "RoleName"))
    except NotFoundException:
        return None


def _characters(document: str) -> int:
    """How long a policy is to IAM, which does not count white space."""
    return sum(not character.isspace() for character in document)
