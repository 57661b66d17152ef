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

HALF_WAY = "Only an upload that breaks off half-way is aborted."
GIVEN = "A run may be given a file of its own, or one that a run before it left."
ABSENT = "Without it a missing object would be forbidden instead of not found."
UNHANDLED = "Only what a function could not handle goes to its dead letters."
POLLER = "Lambda asks for it to poll a queue: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
STOPPED = "Only an execution that somebody stops stops its jobs."
TAGGED = "Pipelines tags what it makes: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-tagging.html"
VARIABLES = "The function's own environment variables are under the key."
REASONS: dict[tuple[str, str, str], str] = {}
"""By patterns of a role's name without its prefix, of an action and of a resource."""


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
        and not any(_explains(key, grant) for key in REASONS)
    )


def idle_reasons(grants: Iterable[Grant]) -> list[tuple[str, str, str]]:
    """Reasons for what nobody is granted any more."""
    present = list(grants)
    return [key for key in REASONS if not any(_explains(key, grant) for grant in present)]


def missing(file: Path, prefix: str) -> list[str]:
    """What a role was denied."""
    return sorted(
        f"{line['role']}: {line['action']} on {line['resource']}, {line['denied']}"
        for line in records.read(file)
        if line["denied"] and line["role"].rsplit("/", 1)[-1].startswith(prefix)
    )


def _explains(key: tuple[str, str, str], grant: Grant) -> bool:
    return all(fnmatchcase(value, pattern) for value, pattern in zip(grant, key, strict=True))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
