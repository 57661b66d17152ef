# SPDX-License-Identifier: Apache-2.0
"""What a resource type is, and how template properties become an API call's parameters."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from botocore import xform_name
from botocore.exceptions import ClientError

from localcloud.clients import client
from localcloud.cloudformation.schemas import Schema, schema_of

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """One resource of one stack, as it is and as it shall be.

    Attributes:
        account: 12-digit account id.
        region: Region name.
        stack_name: Name of the stack.
        stack_id: Its ARN.
        logical_id: The resource's name in the template.
        kind: The resource's type.
        properties: What the template says, resolved. When deleting: what it said.
        before: When updating: what it said before.
        physical_id: What Ref gives; empty before the resource exists.
        claim: To be called with the physical id as soon as the thing exists, when creating it takes further steps:
            should one of them fail, the roll-back then knows what to remove.
    """

    account: str
    region: str
    stack_name: str
    stack_id: str
    logical_id: str
    kind: str
    properties: Properties = field(default_factory=dict)
    before: Properties = field(default_factory=dict)
    physical_id: str = ""
    claim: Callable[[str], None] = lambda _: None

    def named(self, physical_id: str) -> Target:
        """The same with its physical id."""
        return replace(self, physical_id=physical_id)

    def client(self, service: str) -> Any:
        """A boto3 client acting in the stack's account and region."""
        return client(service, self.account, self.region)

    def call(self, service: str, operation: str, parameters: Properties) -> dict[str, Any]:
        """Call an operation; names and types are fitted to its input shape.

        Raises:
            ValueError: A parameter that the operation does not have.
        """
        api = self.client(service)
        shape = api.meta.service_model.operation_model(operation).input_shape
        answer: dict[str, Any] = getattr(api, xform_name(operation))(**fitted(shape, parameters, self.kind))
        return answer

    def name(self, longest: int = 64, *, lower: bool = False) -> str:
        """A physical name as CloudFormation makes it: stack, logical id and twelve random characters."""
        tail = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        room = longest - len(tail) - 1
        head = f"{self.stack_name}-{self.logical_id}"
        if len(head) > room:
            head = f"{self.stack_name[: room // 2]}-{self.logical_id[: room - room // 2 - 1]}"
        made = f"{head}-{tail}"
        return made.lower() if lower else made

    def arn(self, service: str, rest: str) -> str:
        """The ARN of something in the stack's account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"


@dataclass(frozen=True)
class Made:
    """A resource that exists.

    Attributes:
        physical_id: What Ref gives.
        attributes: What GetAtt gives, by name.
    """

    physical_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


class ReplacementNeeded(Exception):  # noqa: N818  # an answer, not an error
    """The change cannot be made in place: make a new resource, then delete the old one."""


class ResourceType:
    """Creates, updates and deletes resources of one type.

    Attributes:
        kind: "AWS::SNS::Topic".
        name_property: The property that names the resource, if it can be named.
        also_given: What GetAtt gives beside what the schema says.
    """

    kind: ClassVar[str] = ""
    name_property: ClassVar[str | None] = None
    also_given: ClassVar[frozenset[str]] = frozenset()

    @property
    def schema(self) -> Schema:
        """What CloudFormation knows of the type."""
        return schema_of(self.kind)

    def name_of(self, it: Target, longest: int, *, lower: bool = False) -> str:
        """The name that the template gives the resource, or one as CloudFormation makes it."""
        given = it.properties.get(self.name_property) if self.name_property else None
        return str(given or it.name(longest, lower=lower))

    def create(self, it: Target) -> Made:
        """Make the resource, tolerating nothing that is there already."""
        raise NotImplementedError

    def update(self, it: Target) -> Made:
        """Change the resource in place, or raise `ReplacementNeeded`."""
        raise ReplacementNeeded(it.logical_id)

    def delete(self, it: Target) -> None:
        """Remove the resource; one that is gone already is no error."""


_types: dict[str, ResourceType] = {}
Kind = TypeVar("Kind", bound=type[ResourceType])


def resource_type(kind: str, *, name: str | None = None) -> Callable[[Kind], Kind]:
    """Register a class as CloudFormation's `kind`.

    Args:
        kind: "AWS::SNS::Topic".
        name: The property that names the resource.
    """

    def register(made: Kind) -> Kind:
        made.kind = kind
        made.name_property = name
        _types[kind] = made()
        return made

    return register


def known_types() -> Mapping[str, ResourceType]:
    """Every type, by its name."""
    return _types


def type_of(kind: str) -> ResourceType:
    """The type that makes resources of `kind`; every `Custom::X` is a custom resource.

    Raises:
        KeyError: The emulated cloud has no such type.
    """
    return _types["AWS::CloudFormation::CustomResource" if kind.startswith("Custom::") else kind]


def refuse_beyond(it: Target, *known: str) -> None:
    """Refuse properties that CloudFormation has and the emulated cloud has not, instead of losing them.

    Raises:
        ValueError: Names the first of them.
    """
    for name in sorted(set(it.properties) - set(known)):
        raise ValueError(f"the emulated cloud does not support property {name} of {it.kind}")


def fitted(shape: Any, value: Any, where: str) -> Any:
    """`value` with numbers and booleans written as strings made what `shape` wants, and names in its letter case.

    Args:
        shape: A botocore shape.
        value: A resolved property value.
        where: For the message.

    Raises:
        ValueError: A key that the shape does not have.
    """
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        if getattr(shape, "is_document_type", False):
            return value
        names = {member.lower(): member for member in shape.members}
        fit = {}
        for key, part in value.items():
            member = names.get(key.lower())
            if member is None:
                raise ValueError(f"the emulated cloud does not support property {key} of {where}")
            fit[member] = fitted(shape.members[member], part, f"{where}.{key}")
        return fit
    if kind == "list" and isinstance(value, list):
        return [fitted(shape.member, part, where) for part in value]
    if kind == "map" and isinstance(value, Mapping):
        return {str(key): fitted(shape.value, part, where) for key, part in value.items()}
    if kind == "boolean" and isinstance(value, str):
        return value.lower() == "true"
    if kind in ("integer", "long") and isinstance(value, str | float):
        return int(float(value))
    if kind in ("float", "double") and isinstance(value, str | int):
        return float(value)
    if kind == "string" and isinstance(value, bool):
        return str(value).lower()
    if kind == "string" and isinstance(value, Mapping | list):
        return json.dumps(value)
    if kind == "string" and value is not None:
        return str(value)
    return value


def without(properties: Properties, *names: str) -> dict[str, Any]:
    """A copy without the named properties."""
    return {key: value for key, value in properties.items() if key not in names}


def picked(properties: Properties, *names: str) -> dict[str, Any]:
    """A copy with the named properties only, where present."""
    return {name: properties[name] for name in names if name in properties}


def tag_map(properties: Properties) -> dict[str, str]:
    """CloudFormation's list of tags as a plain map."""
    tags = properties.get("Tags") or []
    return dict(tags) if isinstance(tags, Mapping) else {tag["Key"]: str(tag["Value"]) for tag in tags}


def ignoring_absence(action: Callable[..., Any], **parameters: Any) -> None:
    """Call `action`; that the thing is gone already is fine."""
    try:
        action(**parameters)
    except ClientError as error:
        if not _ABSENT.search(f"{error.response['Error']['Code']} {error.response['Error'].get('Message', '')}"):
            raise


_ABSENT = re.compile(r"NotFound|NoSuch|NonExistent|does not exist|Could not find|not found|NotExist", re.IGNORECASE)
