# SPDX-License-Identifier: Apache-2.0
"""What IAM and STS refuse."""

from __future__ import annotations

import json
import re

from localcloud.dispatch import Call
from localcloud.verdicts.registry import refuses

_OF_IAM = "iam/test_iam.py"
_OF_STS = "sts/test_sts.py"
_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+")


@refuses("iam", "CreateRole UpdateAssumeRolePolicy", "MalformedPolicyDocument", _OF_IAM)
def _no_json(call: Call) -> str:
    document = call.parameters.get("AssumeRolePolicyDocument") or call.parameters.get("PolicyDocument")
    try:
        json.loads(document or "")
    except ValueError:
        return "This policy contains invalid Json"
    return ""


@refuses("iam", "AttachRolePolicy DetachRolePolicy", "ValidationError", _OF_IAM)
def _no_arn(call: Call) -> str:
    return "" if _ARN.fullmatch(call.parameters["PolicyArn"]) else "Invalid ARN:  Could not be parsed!"


@refuses("sts", "AssumeRole", "ValidationError", _OF_STS)
def _no_role(call: Call) -> str:
    arn = call.parameters["RoleArn"]
    return "" if _ARN.fullmatch(arn) else f"{arn} is invalid"


@refuses("sts", "AssumeRole", "InvalidParameterValue", _OF_STS)
def _odd_session_tags(call: Call) -> str:
    keys = [tag["Key"].lower() for tag in call.parameters.get("Tags") or ()]
    if len(keys) != len(set(keys)):
        return "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    if any(key.lower() not in keys for key in call.parameters.get("TransitiveTagKeys") or ()):
        return "The specified transitive tag key must be included in the requested tags."
    return ""
