# SPDX-License-Identifier: Apache-2.0
"""One resource of a stack: made, changed in place, replaced by another, or removed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from localcloud.cloudformation.resource_types import ReplacementNeeded, Target, type_of
from localcloud.cloudformation.stacks import Resource, Stack, note
from localcloud.cloudformation.templates import Resolver, TemplateError

log = logging.getLogger(__name__)


class ProvisioningError(Exception):
    """A resource could not be made; the reason is in its status."""


def provision(stack: Stack, resolver: Resolver, logical_id: str) -> Resource | None:
    """Make a resource, or bring the one that exists to what the template now says.

    Returns:
        The old one where another takes its place; it is still there.

    Raises:
        ProvisioningError: It could not be made or changed.
    """
    definition = resolver.template["Resources"][logical_id]
    existing = stack.resources.get(logical_id)
    if existing and existing.physical_id and existing.kind == definition["Type"]:
        old = _bring(stack, existing, definition, resolver)
        _set_policies(existing, definition)
        return old
    resource = stack.resources[logical_id] = Resource(logical_id, definition["Type"])
    _set_policies(resource, definition)
    if logical_id in stack.imports_under_way:
        _adopt(stack, resource, resolver.resolve(definition.get("Properties", {})))
        return None
    with _noting_failure(stack, resource, "create"):
        resource.properties = resolver.resolve(definition.get("Properties", {}))
        note(stack, resource, "CREATE_IN_PROGRESS")
        target = Target(stack, resource, resource.properties)
        _settle(resource, target.named(_create(target)))
        note(stack, resource, "CREATE_COMPLETE")
    return existing if existing and existing.physical_id else None


def _adopt(stack: Stack, resource: Resource, properties: Mapping[str, Any]) -> None:
    """Take what exists into the stack as it is: CloudFormation does not compare it with the template."""
    with _noting_failure(stack, resource, "import"):
        resource.properties, resource.imported = dict(properties), True
        note(stack, resource, "IMPORT_IN_PROGRESS")
        target = Target(stack, resource, resource.properties)
        _refuse_faults(target)
        identifier = stack.imports_under_way[resource.logical_id]
        _settle(resource, target.named(type_of(resource.kind).adopt(target, identifier)))
        note(stack, resource, "IMPORT_COMPLETE")


def _set_policies(resource: Resource, definition: Mapping[str, Any]) -> None:
    resource.deletion_policy = definition.get("DeletionPolicy", "Delete")
    resource.replace_policy = definition.get("UpdateReplacePolicy", "Delete")


def _bring(stack: Stack, resource: Resource, definition: Mapping[str, Any], resolver: Resolver) -> Resource | None:
    """Update in place where the type can; otherwise make a new one and return the old."""
    old = replace(resource)
    with _noting_failure(stack, resource, "update"):
        properties = resolver.resolve(definition.get("Properties", {}))
        if properties == old.properties:
            return None
        note(stack, resource, "UPDATE_IN_PROGRESS")
        target = Target(stack, resource, properties, old.properties, resource.physical_id)
        physical_id = _update(target)
        if physical_id is None:
            _refuse_taken_name(target)
            reason = "Requested update requires the creation of a new physical resource"
            note(stack, resource, "UPDATE_IN_PROGRESS", reason)
            target = Target(stack, resource, properties)
            physical_id = _create(target)
        _settle(resource, target.named(physical_id))
        note(stack, resource, "UPDATE_COMPLETE")
    return old if resource.physical_id != old.physical_id else None


def restore(stack: Stack, resource: Resource, old: Resource) -> bool:
    """Bring a resource, which is still the same one, back to the properties that it had; False when that failed."""
    try:
        with _noting_failure(stack, resource, "update"):
            target = Target(stack, resource, old.properties, resource.properties, resource.physical_id)
            physical_id = _update(target)
            if physical_id:
                _settle(resource, target.named(physical_id))
            note(stack, resource, "UPDATE_COMPLETE")
    except ProvisioningError:
        return False
    return True


def remove(stack: Stack, resource: Resource) -> bool:
    """Delete what a resource stands for; False when that failed."""
    note(stack, resource, "DELETE_IN_PROGRESS")
    try:
        with _noting_failure(stack, resource, "delete"):
            target = Target(stack, resource, resource.properties, physical_id=resource.physical_id)
            type_of(resource.kind).delete(target)
    except ProvisioningError:
        return False
    note(stack, resource, "DELETE_COMPLETE")
    return True


def _create(target: Target) -> str:
    _refuse_faults(target)
    _refuse_existing(target)
    return type_of(target.kind).create(target)


def _update(target: Target) -> str | None:
    """Change the resource in place; None where only another one will do."""
    _refuse_faults(target)
    kind = type_of(target.kind)
    if any(target.changed(name) for name in kind.schema.replaced_by):
        return None
    try:
        return kind.update(target)
    except ReplacementNeeded:
        return None


def _refuse_faults(target: Target) -> None:
    faults = type_of(target.kind).schema.faults(target.properties)
    if faults:
        resource = target.resource.logical_id
        raise TemplateError(f"Properties validation failed for resource {resource} with message: [{', '.join(faults)}]")


def _refuse_existing(target: Target) -> None:
    """Refuse to make what is there already, although the service's own call would answer as if it had made it."""
    kind = type_of(target.kind)
    name = target.properties.get(kind.name_property) if kind.name_property else None
    if name and kind.exists(target, str(name)):
        raise TemplateError(
            f'Resource handler returned message: "{name} already exists" (HandlerErrorCode: AlreadyExists)'
        )


def _refuse_taken_name(target: Target) -> None:
    name = type_of(target.kind).name_property
    if name and name in target.properties and target.properties[name] == target.before.get(name):
        raise TemplateError(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            f"Rename {target.physical_id} and update the stack again."
        )


def _settle(resource: Resource, target: Target) -> None:
    resource.physical_id, resource.properties = target.physical_id, dict(target.properties)
    resource.attributes = type_of(target.kind).attributes(target)


@contextmanager
def _noting_failure(stack: Stack, resource: Resource, verb: str) -> Iterator[None]:
    """Let the resource's status tell why it could not be created, updated or deleted."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, ClientError | TemplateError):
            log.info("%s.%s: %r", stack.name, resource.logical_id, error)
        note(stack, resource, f"{verb.upper()}_FAILED", _reason(error, resource, verb))
        failure = f"The following resource(s) failed to {verb}: [{resource.logical_id}]."
        raise ProvisioningError(failure) from error


def _reason(error: Exception, resource: Resource, verb: str) -> str:
    if isinstance(error, ClientError):
        said = error.response["Error"]
        return f'Resource handler returned message: "{said.get("Message", "")}" (HandlerErrorCode: {said["Code"]})'
    return str(error) if isinstance(error, TemplateError) else f"{verb} of {resource.logical_id}: {error}"
