# SPDX-License-Identifier: Apache-2.0
"""CloudFormation's engine: a stack is created, updated, rolled back and deleted, one resource after the other."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from localcloud.clients import client
from localcloud.cloudformation import templates
from localcloud.cloudformation.resource_types import Made, ReplacementNeeded, Target, type_of
from localcloud.context import CloudContext
from localcloud.home import Home, private_directory, read_json, write_json

log = logging.getLogger(__name__)

GRACE_SECONDS = 8.0
"""Clients look every five seconds whether an operation has ended: one that ends sooner is answered when it has."""


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
        deletion_policy: Delete or Retain.
        replace_policy: The same, for the old one when it is replaced.
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


@dataclass
class Stack:
    """A stack, all of it JSON.

    Attributes:
        parameters: As they were given, or the template's defaults; SSM-typed ones by the name of what they point to.
        values: The same, resolved.
        outputs: As DescribeStacks lists them.
        imports: Names of other stacks' exports that it uses.
        leftovers: Resources that are no longer in the template but still exist.
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
    policy: str = ""
    disable_rollback: bool = False
    change_sets: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def template(self) -> dict[str, Any]:
        return templates.parse(self.template_text)

    @property
    def is_busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def exports(self) -> dict[str, str]:
        return {output["ExportName"]: output["OutputValue"] for output in self.outputs if "ExportName" in output}


@dataclass(frozen=True)
class Plan:
    """What a stack shall become."""

    template_text: str
    parameters: dict[str, str]
    values: dict[str, Any]


class _ResourceError(Exception):
    """A resource could not be made; the reason is in its status."""


stacks: dict[str, Stack] = {}
"""Every stack by its ARN, deleted ones too."""

lock = threading.RLock()
_home: Home


def install(context: CloudContext) -> None:
    """Read the stacks of the last run."""
    global _home
    _home = Home(context.home)
    for file in sorted(private_directory(_home.state / "stacks").glob("*.json")):
        recorded: dict[str, Any] = read_json(file) or {}
        recorded["resources"] = {key: Resource(**value) for key, value in recorded["resources"].items()}
        recorded["leftovers"] = [Resource(**value) for value in recorded["leftovers"]]
        stacks[recorded["id"]] = Stack(**recorded)


def resume() -> None:
    """Bring stacks to rest that were in the middle of something when the server was killed."""
    reason = "The emulated cloud was stopped during the operation"
    for stack in [stack for stack in stacks.values() if stack.is_busy]:
        if stack.status.startswith("DELETE"):
            start(stack, delete)
        elif stack.status.startswith(("CREATE", "ROLLBACK")):
            start(stack, lambda stack: _roll_back_creation(stack, reason))
        else:
            for resource in stack.resources.values():
                if resource.status.endswith("_IN_PROGRESS"):
                    _note(stack, resource, "UPDATE_FAILED", reason)
            _set_status(stack, "UPDATE_ROLLBACK_COMPLETE", reason)


def start(stack: Stack, operation: Callable[[Stack], None]) -> None:
    """Run an operation in a thread of its own; callers watch the stack's status, as with AWS."""

    def run() -> None:
        try:
            operation(stack)
        except Exception as error:
            log.exception("%s: the operation broke off", stack.name)
            _set_status(stack, stack.status.replace("_IN_PROGRESS", "_FAILED"), f"Internal failure: {error!r}")

    save(stack)
    thread = threading.Thread(target=run, name=f"stack {stack.name}", daemon=True)
    thread.start()
    thread.join(GRACE_SECONDS)


def create(stack: Stack) -> None:
    """Make every resource; when one fails, remove them all again, unless rollback is disabled."""
    try:
        resolver = _resolver(stack, stack.template, stack.values)
        for logical_id in _present(resolver):
            _make(stack, resolver, logical_id)
        stack.outputs = _outputs(stack, resolver)
    except (_ResourceError, templates.TemplateError) as error:
        if stack.disable_rollback:
            _set_status(stack, "CREATE_FAILED", str(error))
        else:
            _roll_back_creation(stack, str(error))
        return
    _set_status(stack, "CREATE_COMPLETE")


def update(stack: Stack, plan: Plan) -> None:
    """Bring the resources to what the plan says; when one fails, bring them back."""
    before = Plan(stack.template_text, stack.parameters, stack.values)
    earlier = {key: Resource(**asdict(resource)) for key, resource in stack.resources.items()}
    stack.template_text, stack.parameters, stack.values = plan.template_text, plan.parameters, plan.values
    old_outputs = stack.outputs
    replaced: list[Resource] = []
    try:
        stack.imports = []
        resolver = _resolver(stack, stack.template, stack.values)
        present = _present(resolver)
        for logical_id in present:
            _make(stack, resolver, logical_id, replaced)
        outputs = _outputs(stack, resolver)
        _refuse_lost_exports(stack, {output["ExportName"] for output in outputs if "ExportName" in output})
        stack.outputs = outputs
    except (_ResourceError, templates.TemplateError) as error:
        stack.outputs = old_outputs
        _roll_back_update(stack, before, earlier, str(error))
        return
    _set_status(stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    removed = [stack.resources.pop(key) for key in _deletion_order(stack, earlier) if key not in present]
    stack.leftovers += [resource for resource in replaced if resource.replace_policy != "Retain"]
    stack.leftovers += removed
    _clear_leftovers(stack)
    _set_status(stack, "UPDATE_COMPLETE")


def delete(stack: Stack) -> None:
    """Remove every resource in reverse order; one that cannot be removed stays, and so does the stack."""
    _clear_leftovers(stack)
    failed = _delete_all(stack)
    if failed:
        _set_status(stack, "DELETE_FAILED", f"The following resource(s) failed to delete: [{', '.join(failed)}]. ")
        return
    stack.outputs = []
    stack.imports = []
    stack.deleted = _now()
    _set_status(stack, "DELETE_COMPLETE")


def save(stack: Stack) -> None:
    """Write the stack's state durably."""
    write_json(private_directory(_home.state / "stacks") / f"{stack.id.rsplit('/', 1)[1]}.json", asdict(stack))


def new_stack(account: str, region: str, name: str, template_text: str) -> Stack:
    """A stack under review, with an ARN of its own."""
    stack_id = f"arn:aws:cloudformation:{region}:{account}:stack/{name}/{uuid.uuid4()}"
    stack = Stack(account, region, name, stack_id, template_text, created=_now())
    with lock:
        stacks[stack_id] = stack
    _event(stack, stack.name, "AWS::CloudFormation::Stack", stack.id, "REVIEW_IN_PROGRESS", "User Initiated")
    return stack


def neighbours(stack: Stack) -> Iterator[Stack]:
    """The other living stacks of the same account and region."""
    for other in list(stacks.values()):
        if other is not stack and not other.deleted and (other.account, other.region) == (stack.account, stack.region):
            yield other


def resolved_conditions(stack: Stack, template: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Logical ids of the resources that the template has with these parameter values, in the order of making.

    Raises:
        TemplateError: A reference to nothing, a circle.
    """
    return _present(_resolver(stack, template, values))


def start_status(stack: Stack, status: str) -> None:
    """Set the status with which an operation begins."""
    _set_status(stack, status, "User Initiated")


def _present(resolver: templates.Resolver) -> list[str]:
    resources = resolver.template["Resources"]
    included = {
        logical_id
        for logical_id, resource in resources.items()
        if "Condition" not in resource or resolver.condition(resource["Condition"])
    }
    return templates.order(resolver.template, included)


def _make(stack: Stack, resolver: templates.Resolver, logical_id: str, replaced: list[Resource] | None = None) -> None:
    """Create a resource, or bring the one that exists to what the template now says."""
    definition = resolver.template["Resources"][logical_id]
    kind = definition["Type"]
    existing = stack.resources.get(logical_id)
    try:
        properties = resolver.resolve(definition.get("Properties", {}))
    except templates.TemplateError as error:
        failed = existing or stack.resources.setdefault(logical_id, Resource(logical_id, kind))
        _note(stack, failed, f"{'UPDATE' if existing else 'CREATE'}_FAILED", str(error))
        raise _ResourceError(_failure("create", logical_id)) from error
    if existing and existing.kind == kind and existing.properties == properties and existing.physical_id:
        _set_policies(existing, definition)
        return
    if existing and existing.kind == kind and existing.physical_id:
        _change(stack, existing, properties, replaced if replaced is not None else [])
    else:
        if existing and existing.physical_id and replaced is not None:
            replaced.append(existing)
        stack.resources[logical_id] = resource = Resource(logical_id, kind)
        _set_policies(resource, definition)
        _create_resource(stack, resource, properties)
    _set_policies(stack.resources[logical_id], definition)


def _set_policies(resource: Resource, definition: Mapping[str, Any]) -> None:
    resource.deletion_policy = definition.get("DeletionPolicy", "Delete")
    resource.replace_policy = definition.get("UpdateReplacePolicy", "Delete")


def _create_resource(stack: Stack, resource: Resource, properties: dict[str, Any]) -> None:
    resource.properties = properties
    _note(stack, resource, "CREATE_IN_PROGRESS")
    target = _target(stack, resource, properties)
    _apply(stack, resource, "create", lambda: _created(resource, target))


def _created(resource: Resource, target: Target) -> Made:
    _refuse_faults(resource, target)
    return type_of(resource.kind).create(target)


def _updated(resource: Resource, target: Target) -> Made:
    _refuse_faults(resource, target)
    return type_of(resource.kind).update(target)


def _refuse_faults(resource: Resource, target: Target) -> None:
    faults = type_of(resource.kind).schema.faults(target.properties)
    if faults:
        reason = f"Properties validation failed for resource {resource.logical_id} with message: [{', '.join(faults)}]"
        raise templates.TemplateError(reason)


def _change(stack: Stack, resource: Resource, properties: dict[str, Any], replaced: list[Resource]) -> None:
    """Update in place where the type can; otherwise make a new one and leave the old for the clean-up."""
    kind = type_of(resource.kind)
    before = resource.properties
    changed = {key for key in {*properties, *before} if properties.get(key) != before.get(key)}
    old = Resource(**asdict(resource))
    _note(stack, resource, "UPDATE_IN_PROGRESS")
    if not changed & kind.schema.replaced_by:
        try:
            target = _target(stack, resource, properties, before)
            _apply(stack, resource, "update", lambda: _updated(resource, target))
        except ReplacementNeeded:
            pass
        else:
            resource.properties = properties
            if resource.physical_id != old.physical_id:  # a custom resource may answer with another one
                replaced.append(old)
            return
    name = kind.name_property
    if name and name in properties and properties[name] == before.get(name):
        reason = (
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            f"Rename {resource.physical_id} and update the stack again."
        )
        _note(stack, resource, "UPDATE_FAILED", reason)
        raise _ResourceError(_failure("update", resource.logical_id))
    target = _target(stack, resource, properties).named("")
    _note(stack, resource, "UPDATE_IN_PROGRESS", "Requested update requires the creation of a new physical resource")
    _apply(stack, resource, "update", lambda: _created(resource, target))
    resource.properties = properties
    replaced.append(old)


def _apply(stack: Stack, resource: Resource, verb: str, action: Callable[[], Made]) -> None:
    try:
        made = action()
    except ReplacementNeeded:
        raise
    except Exception as error:
        if not isinstance(error, ClientError):
            log.info("%s.%s: %r", stack.name, resource.logical_id, error)
        _note(stack, resource, f"{verb.upper()}_FAILED", _reason(error, resource, verb))
        raise _ResourceError(_failure(verb, resource.logical_id)) from error
    resource.physical_id, resource.attributes = made.physical_id, made.attributes
    _note(stack, resource, f"{verb.upper()}_COMPLETE")


def _roll_back_creation(stack: Stack, reason: str) -> None:
    _set_status(stack, "ROLLBACK_IN_PROGRESS", f"{reason} Rollback requested by user.")
    failed = _delete_all(stack, after_creation=True)
    if failed:
        _set_status(stack, "ROLLBACK_FAILED", f"The following resource(s) failed to delete: [{', '.join(failed)}]. ")
    else:
        _set_status(stack, "ROLLBACK_COMPLETE")


def _roll_back_update(stack: Stack, before: Plan, earlier: dict[str, Resource], reason: str) -> None:
    _set_status(stack, "UPDATE_ROLLBACK_IN_PROGRESS", reason)
    stack.template_text, stack.parameters, stack.values = before.template_text, before.parameters, before.values
    failed = []
    for logical_id in reversed(list(stack.resources)):
        resource, old = stack.resources[logical_id], earlier.get(logical_id)
        if old is None or old.physical_id != resource.physical_id:
            if resource.physical_id and not _delete_resource(stack, resource):
                stack.leftovers.append(resource)
            if old is None:
                del stack.resources[logical_id]
            else:
                stack.resources[logical_id] = old
                _note(stack, old, "UPDATE_COMPLETE")
        elif old.properties != resource.properties or resource.status == "UPDATE_FAILED":
            target = _target(stack, resource, old.properties, resource.properties)
            kind = type_of(resource.kind)
            try:
                _apply(stack, resource, "update", lambda kind=kind, target=target: kind.update(target))  # type: ignore[misc]
                resource.properties = old.properties
            except ReplacementNeeded:
                _note(stack, resource, "UPDATE_COMPLETE")
            except _ResourceError:
                failed.append(logical_id)
    _set_status(stack, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
    _clear_leftovers(stack)
    if failed:
        names = ", ".join(failed)
        _set_status(stack, "UPDATE_ROLLBACK_FAILED", f"The following resource(s) failed to update: [{names}]. ")
    else:
        _set_status(stack, "UPDATE_ROLLBACK_COMPLETE")


def _delete_all(stack: Stack, *, after_creation: bool = False) -> list[str]:
    """Delete every resource in reverse order; returns the logical ids of those that could not be."""
    failed = []
    for logical_id in _deletion_order(stack, stack.resources):
        resource = stack.resources[logical_id]
        retained = resource.deletion_policy == "Retain" and not after_creation
        if retained and resource.physical_id:
            _note(stack, resource, "DELETE_SKIPPED")
        elif resource.physical_id and not _delete_resource(stack, resource):
            failed.append(logical_id)
            continue
        elif not resource.physical_id:
            _note(stack, resource, "DELETE_COMPLETE")
        del stack.resources[logical_id]
    save(stack)
    return failed


def _clear_leftovers(stack: Stack) -> None:
    for resource in list(stack.leftovers):
        if resource.deletion_policy != "Retain" and resource.physical_id:
            _delete_resource(stack, resource)
        stack.leftovers.remove(resource)


def _delete_resource(stack: Stack, resource: Resource) -> bool:
    _note(stack, resource, "DELETE_IN_PROGRESS")
    try:
        type_of(resource.kind).delete(_target(stack, resource, resource.properties))
    except Exception as error:
        _note(stack, resource, "DELETE_FAILED", _reason(error, resource, "delete"))
        return False
    _note(stack, resource, "DELETE_COMPLETE")
    return True


def _deletion_order(stack: Stack, resources: Mapping[str, Resource]) -> list[str]:
    """Reverse of the order of making, which the dictionary keeps but for resources that were added by an update."""
    try:
        made = templates.order(stack.template, set(stack.template["Resources"]) & set(resources))
    except templates.TemplateError:
        made = []
    added = [key for key in resources if key not in made]
    return [*reversed(added), *reversed(made)]


def _target(
    stack: Stack, resource: Resource, properties: dict[str, Any], before: dict[str, Any] | None = None
) -> Target:
    def claim(physical_id: str) -> None:
        resource.physical_id = physical_id
        save(stack)

    return Target(
        account=stack.account,
        region=stack.region,
        stack_name=stack.name,
        stack_id=stack.id,
        logical_id=resource.logical_id,
        kind=resource.kind,
        properties=properties,
        before=before or {},
        physical_id=resource.physical_id,
        claim=claim,
    )


def _resolver(stack: Stack, template: Mapping[str, Any], values: Mapping[str, Any]) -> templates.Resolver:
    def reference(logical_id: str) -> str:
        resource = stack.resources.get(logical_id)
        if not resource or not resource.physical_id:
            raise templates.TemplateError(f"Unresolved resource dependencies [{logical_id}]")
        return resource.physical_id

    def attribute(logical_id: str, name: str) -> Any:
        reference(logical_id)
        resource = stack.resources[logical_id]
        value: Any = resource.attributes
        for part in [name] if name in resource.attributes else name.split("."):
            if not isinstance(value, dict) or part not in value:
                raise templates.TemplateError(
                    f"Requested attribute {name} must be a readonly property in schema for {resource.kind}"
                    f" ({logical_id} has {sorted(resource.attributes)})"
                )
            value = value[part]
        return value

    def imported(name: str) -> str:
        for other in neighbours(stack):
            if name in other.exports:
                if name not in stack.imports:
                    stack.imports.append(name)
                return other.exports[name]
        raise templates.TemplateError(f"No export named {name} found.")

    pseudo = {
        "AWS::AccountId": stack.account,
        "AWS::NotificationARNs": [],
        "AWS::Partition": "aws",
        "AWS::Region": stack.region,
        "AWS::StackId": stack.id,
        "AWS::StackName": stack.name,
        "AWS::URLSuffix": "amazonaws.com",
    }

    def dynamic(what: str) -> str:
        return _dynamic_reference(stack, what)

    return templates.Resolver(template, values, pseudo, reference, attribute, imported, dynamic)


def _dynamic_reference(stack: Stack, what: str) -> str:
    service, _, rest = what.partition(":")
    try:
        if service in ("ssm", "ssm-secure"):
            answer = client("ssm", stack.account, stack.region).get_parameter(Name=rest, WithDecryption=True)
            return str(answer["Parameter"]["Value"])
    except ClientError as error:
        raise templates.TemplateError(f"{what}: {error.response['Error']['Message']}") from error
    raise templates.TemplateError(f"the emulated cloud has no dynamic reference {what}")


def _outputs(stack: Stack, resolver: templates.Resolver) -> list[dict[str, str]]:
    made = []
    taken = {name: other.name for other in neighbours(stack) for name in other.exports}
    for key, output in (resolver.template.get("Outputs") or {}).items():
        if "Condition" in output and not resolver.condition(output["Condition"]):
            continue
        one = {"OutputKey": key, "OutputValue": str(resolver.resolve(output["Value"]))}
        if "Description" in output:
            one["Description"] = output["Description"]
        if "Export" in output:
            name = one["ExportName"] = str(resolver.resolve(output["Export"]["Name"]))
            if name in taken:
                raise templates.TemplateError(f"Export with name {name} is already exported by stack {taken[name]}.")
        made.append(one)
    return made


def _refuse_lost_exports(stack: Stack, kept: set[str]) -> None:
    for name in set(stack.exports) - kept:
        for other in neighbours(stack):
            if name in other.imports:
                raise templates.TemplateError(f"Cannot delete export {name} as it is in use by {other.name}.")


def refuse_used_exports(stack: Stack) -> None:
    """Refuse to delete a stack whose exports are in use.

    Raises:
        TemplateError: Another stack imports one of them.
    """
    _refuse_lost_exports(stack, set())


def _failure(verb: str, logical_id: str) -> str:
    return f"The following resource(s) failed to {verb}: [{logical_id}]."


def _reason(error: Exception, resource: Resource, verb: str) -> str:
    if isinstance(error, ClientError):
        said = error.response["Error"]
        return f'Resource handler returned message: "{said.get("Message", "")}" (HandlerErrorCode: {said["Code"]})'
    if isinstance(error, templates.TemplateError):
        return str(error)
    return f"{verb} of {resource.logical_id}: {error}"


def _note(stack: Stack, resource: Resource, status: str, reason: str = "") -> None:
    resource.status, resource.reason, resource.changed = status, reason, _now()
    _event(stack, resource.logical_id, resource.kind, resource.physical_id, status, reason)
    save(stack)


def _set_status(stack: Stack, status: str, reason: str = "") -> None:
    if status.startswith("UPDATE") and status.endswith("COMPLETE"):
        stack.updated = _now()
    _event(stack, stack.name, "AWS::CloudFormation::Stack", stack.id, status, reason)
    stack.status, stack.reason = status, reason
    save(stack)


def _event(stack: Stack, logical_id: str, kind: str, physical_id: str, status: str, reason: str) -> None:
    event = {
        "StackId": stack.id,
        "EventId": str(uuid.uuid4()),
        "StackName": stack.name,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": physical_id,
        "ResourceType": kind,
        "Timestamp": _now(),
        "ResourceStatus": status,
    }
    if reason:
        event["ResourceStatusReason"] = reason
    stack.events.append(event)


def _now() -> str:
    return datetime.now(UTC).isoformat()
