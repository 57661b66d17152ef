# SPDX-License-Identifier: Apache-2.0
"""What is known of each stack, and what has happened to it, kept durably."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from localcloud.cloudformation.templates import TemplateError, parse
from localcloud.context import CloudContext
from localcloud.home import Home, private_directory, read_json, write_json
from localcloud.times import now


@dataclass
class Resource:
    """A resource as it was last made.

    Attributes:
        logical_id: Its name in the template.
        kind: Its type.
        physical_id: What Ref gives.
        attributes: What GetAtt gives.
        properties: As they were resolved when it was last made.
        status: CREATE_COMPLETE, UPDATE_FAILED, ...
        reason: Why, if it failed.
        changed: When its status last changed, ISO 8601.
        deletion_policy: Delete, Retain or RetainExceptOnCreate.
        replace_policy: Delete or Retain, for the old one when it is replaced.
        imported: Whether it was there before the stack took it in.
    """

    logical_id: str
    kind: str
    physical_id: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    status: str = ""
    reason: str = ""
    changed: str = ""
    deletion_policy: str = "Delete"
    replace_policy: str = "Delete"
    imported: bool = False

    @property
    def is_retained(self) -> bool:
        """Whether it stays when its stack goes, or when it leaves its stack's template."""
        return self.deletion_policy in ("Retain", "RetainExceptOnCreate")

    @property
    def is_retained_after_roll_back(self) -> bool:
        """Whether it stays even when the very operation that made it is rolled back.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
        """
        return self.deletion_policy == "Retain" or self.imported


@dataclass(frozen=True)
class Plan:
    """What a stack shall become.

    Attributes:
        parameters: As they were given, or the template's defaults; SSM-typed ones by the name of what they point to.
        values: The same, resolved.
    """

    template_text: str
    parameters: dict[str, str]
    values: dict[str, Any]

    @cached_property
    def template(self) -> dict[str, Any]:
        return parse(self.template_text)


@dataclass(frozen=True)
class ChangeSet:
    """What somebody may execute.

    Attributes:
        described: As DescribeChangeSet answers.
        creates: Whether it makes the stack.
        role_arn: The role that the stack shall act with.
        stays_on_failure: Whether what has been made stays when the rest fails.
        imports: What is there already and is taken into the stack: what names it, by logical id.
        only_imports: Whether it does nothing else.
    """

    described: dict[str, Any]
    plan: Plan
    creates: bool
    role_arn: str
    stays_on_failure: bool
    imports: dict[str, dict[str, str]] = field(default_factory=dict)
    only_imports: bool = False


@dataclass
class Stack:
    """A stack, all of it JSON.

    Attributes:
        parameters, values: See `Plan`.
        outputs: As DescribeStacks lists them.
        imports: Names of other stacks' exports that it uses.
        leftovers: Resources that are no longer in the template but still exist.
        imports_under_way: What the last operation takes in instead of making it; see `ChangeSet.imports`.
    """

    account: str
    region: str
    name: str
    id: str
    template_text: str
    parameters: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    tags: list[dict[str, str]] = field(default_factory=list)
    capabilities: list[str] = field(default_factory=list)
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    created: str = ""
    updated: str = ""
    deleted: str = ""
    resources: dict[str, Resource] = field(default_factory=dict)
    leftovers: list[Resource] = field(default_factory=list)
    outputs: list[dict[str, str]] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    termination_protection: bool = False
    role_arn: str = ""
    disable_rollback: bool = False
    imports_under_way: dict[str, dict[str, str]] = field(default_factory=dict)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """What it has become, or is becoming."""
        return Plan(self.template_text, self.parameters, self.values)

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self.template_text, self.parameters, self.values = plan.template_text, plan.parameters, plan.values

    @property
    def template(self) -> dict[str, Any]:
        return self.plan.template

    @property
    def is_busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def exports(self) -> dict[str, str]:
        return {output["ExportName"]: output["OutputValue"] for output in self.outputs if "ExportName" in output}


_NAME = "[a-zA-Z][-a-zA-Z0-9]*"
_LONGEST_NAME = 128

stacks: dict[str, Stack] = {}
"""Every stack by its ARN, deleted ones too."""

_lock = threading.RLock()
_home: Home


def install(context: CloudContext) -> None:
    """Read the stacks of the last run."""
    global _home
    _home = Home(context.home)
    for file in sorted(private_directory(_home.state / "stacks").glob("*.json")):
        recorded: dict[str, Any] = read_json(file) or {}
        recorded["resources"] = {key: Resource(**value) for key, value in recorded["resources"].items()}
        recorded["leftovers"] = [Resource(**value) for value in recorded["leftovers"]]
        recorded["change_sets"] = {
            name: ChangeSet(**{**value, "plan": Plan(**value["plan"])})
            for name, value in recorded["change_sets"].items()
        }
        stacks[recorded["id"]] = Stack(**recorded)


def save(stack: Stack) -> None:
    """Write the stack's state durably."""
    write_json(private_directory(_home.state / "stacks") / f"{stack.id.rsplit('/', 1)[1]}.json", asdict(stack))


def new_stack(account: str, region: str, name: str, template_text: str) -> Stack:
    """A stack under review, with an ARN of its own.

    Raises:
        TemplateError: A name that no stack can have.
    """
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
    if not re.fullmatch(_NAME, name) or len(name) > _LONGEST_NAME:
        raise TemplateError(
            f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must "
            f"satisfy regular expression pattern: {_NAME}"
        )
    stack_id = f"arn:aws:cloudformation:{region}:{account}:stack/{name}/{uuid.uuid4()}"
    stack = Stack(account, region, name, stack_id, template_text, created=now())
    with _lock:
        stacks[stack_id] = stack
    _add_event(stack, stack.name, "AWS::CloudFormation::Stack", stack.id, stack.status, "User Initiated")
    return stack


def stacks_of(account: str, region: str) -> list[Stack]:
    """Every stack of an account and region, deleted ones too."""
    return [stack for stack in list(stacks.values()) if (stack.account, stack.region) == (account, region)]


def neighbours(stack: Stack) -> Iterator[Stack]:
    """The other living stacks of the same account and region."""
    return (other for other in stacks_of(stack.account, stack.region) if other is not stack and not other.deleted)


def set_status(stack: Stack, status: str, reason: str = "") -> None:
    """Let a stack come to a status, with an event."""
    if status.startswith("UPDATE") and status.endswith("COMPLETE"):
        stack.updated = now()
    _add_event(stack, stack.name, "AWS::CloudFormation::Stack", stack.id, status, reason)
    stack.status, stack.reason = status, reason
    save(stack)


def note(stack: Stack, resource: Resource, status: str, reason: str = "") -> None:
    """Let one of its resources come to a status, with an event."""
    resource.status, resource.reason, resource.changed = status, reason, now()
    _add_event(stack, resource.logical_id, resource.kind, resource.physical_id, status, reason)
    save(stack)


def _add_event(stack: Stack, logical_id: str, kind: str, physical_id: str, status: str, reason: str) -> None:
    event = {
        "StackId": stack.id,
        "EventId": str(uuid.uuid4()),
        "StackName": stack.name,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": physical_id,
        "ResourceType": kind,
        "Timestamp": now(),
        "ResourceStatus": status,
    }
    stack.events.append({**event, **({"ResourceStatusReason": reason} if reason else {})})
