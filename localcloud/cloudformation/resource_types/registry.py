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
from localcloud.cloudformation.stacks import Resource, Stack, save
from localcloud.cloudformation.templates import TemplateError, text_of

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """One resource of one stack, as it is and as it shall be.

    Attributes:
        stack: The stack that it is of.
        resource: As it was last made.
        properties: What the template says, resolved. When deleting: what it said.
        before: When updating: what it said before.
        physical_id: What Ref gives; empty before the resource exists.
        told: Attributes that only the service knows, to be filled by whoever makes or changes the resource.
    """

    stack: Stack
    resource: Resource
    properties: Properties
    before: Properties = field(default_factory=dict)
    physical_id: str = ""
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.resource.kind

    def claim(self, physical_id: str) -> None:
        """Say what the thing is called as soon as it exists, when creating it takes further steps.

        Should one of them fail, the roll-back then knows what to remove.
        """
        self.resource.physical_id = physical_id
        save(self.stack)

    def named(self, physical_id: str) -> Target:
        """The same with its physical id."""
        return replace(self, physical_id=physical_id)

    @property
    def short_id(self) -> str:
        """The physical id, or what follows the last slash or colon of one that is an ARN or a URL."""
        return re.split("[/:]", self.physical_id)[-1]

    @property
    def tags(self) -> list[dict[str, str]]:
        """The resource's tags; CloudFormation writes some types' as a map."""
        tags = self.properties.get("Tags") or []
        return [{"Key": key, "Value": tags[key]} for key in tags] if isinstance(tags, Mapping) else tags

    @property
    def tag_map(self) -> dict[str, str]:
        """The same as a map."""
        return {tag["Key"]: str(tag["Value"]) for tag in self.tags}

    def picked(self, *names: str) -> dict[str, Any]:
        """The named properties, where present."""
        return {name: self.properties[name] for name in names if name in self.properties}

    def without(self, *names: str) -> dict[str, Any]:
        """All other properties."""
        return {key: value for key, value in self.properties.items() if key not in names}

    def changed(self, name: str) -> bool:
        """Whether a property is another one than before."""
        return bool(self.properties.get(name) != self.before.get(name))

    def is_true(self, name: str) -> bool:
        """Whether a property is true, however it is written."""
        return text_of(self.properties.get(name, False)) == "true"

    def refuse_beyond(self, *known: str) -> None:
        """Refuse properties that CloudFormation has and the emulated cloud has not, instead of losing them.

        Raises:
            ValueError: Names the first of them.
        """
        for name in sorted(set(self.properties) - set(known)):
            raise ValueError(f"the emulated cloud does not support property {name} of {self.kind}")

    def client(self, service: str) -> Any:
        """A boto3 client acting in the stack's account and region."""
        return client(service, self.stack.account, self.stack.region)

    def call(self, service: str, operation: str, parameters: Properties) -> dict[str, Any]:
        """Call an operation; names and types are fitted to its input shape.

        Raises:
            ValueError: A parameter that the operation does not have.
        """
        api = self.client(service)
        shape = api.meta.service_model.operation_model(operation).input_shape
        answer: dict[str, Any] = getattr(api, xform_name(operation))(**fitted(shape, parameters, self.kind))
        return answer

    def drop(self, service: str, operation: str, parameters: Properties) -> None:
        """Call an operation that removes something; that it is gone already is fine."""
        try:
            self.call(service, operation, parameters)
        except ClientError as error:
            if not _ABSENT.search(f"{error.response['Error']['Code']} {error.response['Error'].get('Message', '')}"):
                raise

    def finds(self, service: str, operation: str, parameters: Properties) -> bool:
        """Whether a call that describes something finds it."""
        try:
            self.call(service, operation, parameters)
        except ClientError as error:
            if _ABSENT.search(f"{error.response['Error']['Code']} {error.response['Error'].get('Message', '')}"):
                return False
            raise
        return True

    def name(self, longest: int = 64, *, lower: bool = False) -> str:
        """A physical name as CloudFormation makes it: stack, logical id and twelve random characters."""
        tail = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        room = longest - len(tail) - 1
        stack, logical_id = self.stack.name, self.resource.logical_id
        head = f"{stack}-{logical_id}"
        if len(head) > room:
            head = f"{stack[: room // 2]}-{logical_id[: room - room // 2 - 1]}"
        made = f"{head}-{tail}"
        return made.lower() if lower else made


_ABSENT = re.compile(
    r"\b404\b|NotFound|NoSuch|NonExistent|does not exist|Could not find|not found|NotExist", re.IGNORECASE
)


class ReplacementNeeded(Exception):  # noqa: N818  # an answer, not an error
    """The change cannot be made in place: make a new resource, then delete the old one."""


class ResourceType:
    """Creates, updates and deletes resources of one type.

    Attributes:
        kind: "AWS::SNS::Topic".
        name_property: The property that names the resource, if it can be named.
        gives: What GetAtt gives, with {id}, {short_id}, {region}, {account} and {properties} of the resource.
        deletes: The service, its operation that removes the resource, and the parameter that takes the physical id.
    """

    kind: ClassVar[str] = ""
    name_property: ClassVar[str | None] = None
    gives: ClassVar[Mapping[str, str]] = {}
    deletes: ClassVar[tuple[str, str, str] | None] = None

    @property
    def schema(self) -> Schema:
        """What CloudFormation knows of the type."""
        return schema_of(self.kind)

    def name_of(self, it: Target, longest: int, *, lower: bool = False) -> str:
        """The name that the template gives the resource, or one as CloudFormation makes it."""
        given = it.properties.get(self.name_property) if self.name_property else None
        return str(given or it.name(longest, lower=lower))

    def exists(self, it: Target, name: str) -> bool:  # noqa: ARG002
        """Whether there is one of this name; for types that can be imported, or whose service takes a second one."""
        return False

    @property
    def is_importable(self) -> bool:
        """Whether a stack can take in a resource of this type that exists."""
        return type(self).exists is not ResourceType.exists

    def adopt(self, it: Target, identifier: Mapping[str, str]) -> str:
        """Find the resource that a stack takes in; returns its physical id.

        Raises:
            TemplateError: It does not exist.
        """
        (name,) = identifier.values()
        if not self.exists(it, name):
            raise TemplateError(f"{self.kind} with identifier {dict(identifier)} does not exist")
        return name

    def create(self, it: Target) -> str:
        """Make the resource, tolerating nothing that is there already; returns its physical id."""
        raise NotImplementedError

    def update(self, it: Target) -> str:
        """Change the resource in place, or raise `ReplacementNeeded`; returns its physical id."""
        raise ReplacementNeeded(it.resource.logical_id)

    def delete(self, it: Target) -> None:
        """Remove the resource; one that is gone already is no error."""
        if self.deletes:
            service, operation, parameter = self.deletes
            it.drop(service, operation, {parameter: it.physical_id})

    def attributes(self, it: Target) -> dict[str, Any]:
        """What GetAtt gives of a resource that was just made or changed."""
        where = {"region": it.stack.region, "account": it.stack.account, "properties": it.properties}
        given = {
            name: form.format(id=it.physical_id, short_id=it.short_id, **where) for name, form in self.gives.items()
        }
        return {**given, **it.told}


class PutType(ResourceType):
    """A type whose resources are made and changed by the same calls."""

    def put(self, it: Target) -> None:
        """Let the resource be what the template says; `it` has its physical id."""
        raise NotImplementedError

    def create(self, it: Target) -> str:
        return self.update(it.named(self.name_of(it, 64)))

    def update(self, it: Target) -> str:
        self.put(it)
        return it.physical_id


_types: dict[str, ResourceType] = {}
Kind = TypeVar("Kind", bound=type[ResourceType])


def resource_type(
    kind: str,
    *,
    name: str | None = None,
    gives: Mapping[str, str] | None = None,
    deletes: tuple[str, str, str] | None = None,
) -> Callable[[Kind], Kind]:
    """Register a class as CloudFormation's `kind`; see `ResourceType` for the rest."""

    def register(made: Kind) -> Kind:
        made.kind, made.name_property, made.gives, made.deletes = kind, name, gives or {}, deletes
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
    if kind == "string" and isinstance(value, Mapping | list):
        return json.dumps(value)
    if kind == "string" and value is not None:
        return text_of(value)
    return value
