# SPDX-License-Identifier: Apache-2.0
"""What deployed roles are granted, held against what the story used; what only other circumstances need has a reason.

A grant is a role, an action and a pattern of resources, each as the deployed policy writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from localcloud.authorisation import records
from pipelines.client.connection import Connection

ABSENT = "Without it a missing object would be forbidden instead of not found."
BY_NAME = "Whether AWS looks at the pipeline or at its execution is not documented."
COPIED = "A version that served lies where the deployer copied it, an older one where it was trained."
GIVEN = "A run may be given a file of its own, or one that a run before it left."
HALF_WAY = "Only an upload that breaks off half-way is aborted."
LARGE = "Only a bucket of more than one run's objects is emptied by several."
OUTPUTS = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OutputDataConfig.html asks for it."
POLLER = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html asks for it, to poll a queue."
REPEATED = "Only a step that is tried again finds a record and statements of its own."
STOPPED = "Only an execution that somebody stops stops its jobs."
TAGGED = "https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-tagging.html: Pipelines tags what it makes."
MADE_BEFORE = "Only what somebody made under a candidate's name before it is held against what the deployer makes."
UNANSWERED = "Only a callback that nobody could handle is answered by this function."
UNHANDLED = "Only what a function could not handle goes to its dead letters."
VARIABLES = "The function's own environment variables are under the key."
WAIVED = "Only a champion whose artifact is gone needs an administrator's waiver."
Pattern = tuple[str, str, str]
"""Of a role's name without its prefix, of an action and of a resource."""
REASONS: dict[Pattern, str] = {
    ("*", "s3:AbortMultipartUpload", "*"): HALF_WAY,
    ("*", "s3:ListBucket", "*-data-*"): ABSENT,
    ("*", "sqs:SendMessage", "*-dead-letters"): UNHANDLED,
    ("*-function", "sqs:ChangeMessageVisibility", "*"): POLLER,
    ("*-function", "sqs:GetQueueAttributes", "*"): POLLER,
    ("*-function", "sqs:GetQueueUrl", "*"): POLLER,
    ("check-plan-function", "s3:GetObject", "*"): GIVEN,
    ("check-plan-function", "ssm:GetParameterHistory", "*"): WAIVED,
    ("cleaner-function", "kms:Decrypt", "*"): VARIABLES,
    ("cleaner-function", "lambda:InvokeFunction", "*"): LARGE,
    ("cleaner-function", "s3:DeleteObject", "*"): "A default object that is no longer one, and versions called null.",
    ("cleaner-function", "s3:DeleteObjectVersion", "*-access-logs-*"): "Access logs arrive within hours.",
    ("deployer-function", "sagemaker:SendPipelineExecutionStep*", "*:pipeline/*"): BY_NAME,
    ("deployer-function", "sagemaker:Describe*", "*-candidate-*"): MADE_BEFORE,
    ("find-champion-function", "s3:GetObject", "*"): COPIED,
    ("find-champion-function", "ssm:GetParameterHistory", "*"): WAIVED,
    ("notifier-function", "sagemaker:Describe*Job", "*"): "Which job failed decides after which it asks.",
    ("notifier-function", "sagemaker:DescribePipelineExecution", "*"): "Only where no step says why it failed.",
    ("notifier-function", "sagemaker:ListPipelineExecutionSteps", "*:pipeline/mapgate-dev"): BY_NAME,
    ("pipeline", "s3:GetObject", "*/models/*"): "A property file may lie beside a model.",
    ("pipeline", "sagemaker:AddTags", "*"): TAGGED,
    ("pipeline", "sagemaker:Stop*Job", "*"): STOPPED,
    ("processing", "kms:Encrypt", "*"): OUTPUTS,
    ("processing", "s3:GetObject", "*"): GIVEN,
    ("publish-dossier-function", "dynamodb:GetItem", "*"): REPEATED,
    ("publish-dossier-function", "kms:Verify", "*"): REPEATED,
    ("step-failures-function", "*", "*"): UNANSWERED,
    ("training", "kms:Encrypt", "*"): OUTPUTS,
    ("training", "s3:GetObject", "*"): GIVEN,
}


class Grant(NamedTuple):
    """One permission of a role."""

    role: str
    action: str
    resource: str


def granted(connection: Connection, prefix: str) -> set[Grant]:
    """What the inline and attached policies of the roles with a prefix allow."""
    iam = connection.client("iam")
    roles = [role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]
    found = set()
    for role in (name for name in roles if name.startswith(prefix)):
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            found |= {
                Grant(role.removeprefix(prefix), action, resource)
                for statement in document["Statement"]
                if statement["Effect"] == "Allow"
                for action in _list(statement["Action"])
                for resource in _list(statement["Resource"])
            }
    return found


def in_vain(grants: Iterable[Grant], file: Path, prefix: str) -> list[Grant]:
    """The grants that nothing used, and for which nothing here gives a reason."""
    used = {
        (line["role"].rsplit("/", 1)[-1].removeprefix(prefix), line["action"].lower(), line["resource"])
        for line in records.read(file)
        if not line["denied"]
    }
    return sorted(
        grant
        for grant in grants
        if (grant.role, grant.action.lower(), grant.resource) not in used
        and not any(explains(key, grant) for key in REASONS)
    )


def idle_reasons(grants: Iterable[Grant], reasons: Iterable[Pattern] = REASONS) -> list[Pattern]:
    """Reasons for what nobody is granted any more."""
    present = list(grants)
    return [key for key in reasons if not any(explains(key, grant) for grant in present)]


def missing(file: Path, prefix: str) -> list[str]:
    """What a role was denied."""
    return sorted(
        f"{line['role']}: {line['action']} on {line['resource']}, {line['denied']}"
        for line in records.read(file)
        if line["denied"] and line["role"].rsplit("/", 1)[-1].startswith(prefix)
    )


def explains(key: Pattern, grant: Grant) -> bool:
    """Whether a reason is one for a grant."""
    return all(fnmatchcase(value, pattern) for value, pattern in zip(grant, key, strict=True))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
