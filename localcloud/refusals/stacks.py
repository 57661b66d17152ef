# SPDX-License-Identifier: Apache-2.0
"""What CloudFormation refuses before it looks at a template."""

from __future__ import annotations

import re

from localcloud.cloudformation.stacks import stacks_of
from localcloud.dispatch import Call
from localcloud.refusals.refusal import parameter, recorded

_CODE = "ValidationError"
_STACKS, _CHANGES, _TEMPLATES = (f"cloudformation/api/test_{name}.py" for name in ("stacks", "changesets", "templates"))
_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*")


@recorded("cloudformation", "CreateStack CreateChangeSet", _CODE, _STACKS)
def _odd_name(call: Call) -> str:
    name = parameter(call, "StackName")
    if _NAME.fullmatch(name):
        return ""
    limit = f"Member must satisfy regular expression pattern: {_NAME.pattern}"
    return f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: {limit}"


@recorded("cloudformation", "CreateStack CreateChangeSet UpdateStack", _CODE, _TEMPLATES)
def _template_of_another_place(call: Call) -> str:
    url = parameter(call, "TemplateURL")
    if not url or re.match(r"https?://([^/]*s3[^/]*|127\.0\.0\.1[^/]*|localhost[^/]*)/", url):
        return ""
    return "TemplateURL must be a supported URL."


@recorded("cloudformation", "GetTemplate", _CODE, _TEMPLATES)
def _template_of_no_stack(call: Call) -> str:
    change_set, stack = parameter(call, "ChangeSetName"), parameter(call, "StackName")
    if stack or change_set.startswith("arn:"):
        return ""
    return (
        "StackName is a required parameter."
        if change_set
        else "StackName is required if ChangeSetName is not specified."
    )


@recorded("cloudformation", "GetTemplateSummary", _CODE, _TEMPLATES)
def _summary_of_what_is_not_made(call: Call) -> str:
    if _status(call, parameter(call, "StackName")) == "REVIEW_IN_PROGRESS":
        return "GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks."
    return ""


@recorded("cloudformation", "DescribeChangeSet DeleteChangeSet", _CODE, _CHANGES)
def _change_set_of_no_stack(call: Call) -> str:
    change_set, stack = parameter(call, "ChangeSetName"), parameter(call, "StackName")
    if change_set.startswith("arn:"):
        return ""
    if not stack:
        return "StackName must be specified if ChangeSetName is not specified as an ARN."
    return "" if _status(call, stack) or stack.startswith("arn:") else f"Stack [{stack}] does not exist"


def _status(call: Call, name: str) -> str:
    return next((one.status for one in stacks_of(call.account, call.region) if one.name == name), "")
