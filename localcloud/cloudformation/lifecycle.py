# SPDX-License-Identifier: Apache-2.0
"""What may be done to a stack: it is created, updated, rolled back and deleted, one resource after the other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from localcloud.cloudformation import stacks
from localcloud.cloudformation.evaluation import outputs_of, present, refuse_lost_exports, resolver_of
from localcloud.cloudformation.provisioning import ProvisioningError, provision, remove, restore
from localcloud.cloudformation.stacks import Plan, Resource, Stack, note, set_status
from localcloud.cloudformation.templates import TemplateError, order
from localcloud.times import now

log = logging.getLogger(__name__)

GRACE_SECONDS = 8.0
"""Clients look every five seconds whether an operation has ended: one that ends sooner is answered when it has."""


def begin_creation(stack: Stack, plan: Plan) -> None:
    """Make every resource; when one fails, remove them all again, unless rollback is disabled."""
    stack.plan = plan
    _begin(stack, "CREATE_IN_PROGRESS", _create)


def begin_update(stack: Stack, plan: Plan) -> None:
    """Bring the resources to what the plan says; when one fails, bring them back."""
    _begin(stack, "UPDATE_IN_PROGRESS", lambda stack: _update(stack, plan))


def begin_import(stack: Stack, plan: Plan) -> None:
    """Take what exists into the stack, and do nothing else; when one cannot be taken, take none."""
    _begin(stack, "IMPORT_IN_PROGRESS", lambda stack: _import(stack, plan))


def begin_deletion(stack: Stack) -> None:
    """Remove every resource in reverse order; one that cannot be removed stays, and so does the stack.

    Raises:
        TemplateError: Another stack imports one of its exports.
    """
    refuse_lost_exports(stack, [])
    _begin(stack, "DELETE_IN_PROGRESS", _delete)


def resume() -> None:
    """Bring stacks to rest that were in the middle of something when the server was killed."""
    reason = "The emulated cloud was stopped during the operation"
    for stack in [stack for stack in stacks.stacks.values() if stack.is_busy]:
        if stack.status.startswith("DELETE"):
            _start(stack, _delete)
        elif stack.status.startswith("IMPORT"):
            _drop_imports(stack, reason)
        elif stack.status.startswith(("CREATE", "ROLLBACK")):
            _start(stack, lambda stack: _roll_back_creation(stack, reason))
        else:
            for resource in stack.resources.values():
                if resource.status.endswith("_IN_PROGRESS"):
                    note(stack, resource, "UPDATE_FAILED", reason)
            set_status(stack, "UPDATE_ROLLBACK_COMPLETE", reason)


def _begin(stack: Stack, status: str, operation: Callable[[Stack], None]) -> None:
    set_status(stack, status, "User Initiated")
    _start(stack, operation)


def _start(stack: Stack, operation: Callable[[Stack], None]) -> None:
    """Run an operation in a thread of its own; callers watch the stack's status, as with AWS."""

    def run() -> None:
        try:
            operation(stack)
        except Exception as error:
            log.exception("%s: the operation broke off", stack.name)
            set_status(stack, stack.status.replace("_IN_PROGRESS", "_FAILED"), f"Internal failure: {error!r}")

    thread = threading.Thread(target=run, name=f"stack {stack.name}", daemon=True)
    thread.start()
    thread.join(GRACE_SECONDS)


def _create(stack: Stack) -> None:
    try:
        resolver = resolver_of(stack, stack.plan)
        for logical_id in present(resolver):
            provision(stack, resolver, logical_id)
        stack.outputs = outputs_of(stack, resolver)
    except (ProvisioningError, TemplateError) as error:
        if stack.disable_rollback:
            set_status(stack, "CREATE_FAILED", str(error))
        else:
            _roll_back_creation(stack, str(error))
        return
    set_status(stack, "CREATE_COMPLETE")


def _update(stack: Stack, plan: Plan) -> None:
    before, stack.plan = stack.plan, plan
    earlier = {key: replace(resource) for key, resource in stack.resources.items()}
    replaced: list[Resource] = []
    stack.imports = []
    try:
        resolver = resolver_of(stack, plan)
        made = present(resolver)
        for logical_id in made:
            old = provision(stack, resolver, logical_id)
            if old:
                replaced.append(old)
        outputs = outputs_of(stack, resolver)
        refuse_lost_exports(stack, outputs)
    except (ProvisioningError, TemplateError) as error:
        _roll_back_update(stack, before, earlier, str(error))
        return
    stack.outputs = outputs
    set_status(stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    stack.leftovers += [resource for resource in replaced if resource.replace_policy != "Retain"]
    removed = [stack.resources.pop(key) for key in _deletion_order(stack, earlier) if key not in made]
    for resource in removed:
        if resource.is_retained:
            note(stack, resource, "DELETE_SKIPPED")
        else:
            stack.leftovers.append(resource)
    _clear_leftovers(stack)
    set_status(stack, "UPDATE_COMPLETE")


def _import(stack: Stack, plan: Plan) -> None:
    before, stack.plan = stack.plan, plan
    try:
        resolver = resolver_of(stack, plan)
        for logical_id in present(resolver):
            if logical_id in stack.imports_under_way:
                provision(stack, resolver, logical_id)
        stack.outputs = outputs_of(stack, resolver)
    except (ProvisioningError, TemplateError) as error:
        stack.plan = before
        _drop_imports(stack, str(error))
        return
    set_status(stack, "IMPORT_COMPLETE")


def _drop_imports(stack: Stack, reason: str) -> None:
    for logical_id in stack.imports_under_way:
        stack.resources.pop(logical_id, None)
    set_status(stack, "IMPORT_ROLLBACK_COMPLETE", reason)


def _delete(stack: Stack) -> None:
    _clear_leftovers(stack)
    failed = _delete_all(stack)
    if not failed:
        stack.outputs, stack.imports, stack.deleted = [], [], now()
    _end(stack, "DELETE", "delete", failed)


def _roll_back_creation(stack: Stack, reason: str) -> None:
    set_status(stack, "ROLLBACK_IN_PROGRESS", f"{reason} Rollback requested by user.")
    _end(stack, "ROLLBACK", "delete", _delete_all(stack, after_creation=True))


def _roll_back_update(stack: Stack, before: Plan, earlier: dict[str, Resource], reason: str) -> None:
    set_status(stack, "UPDATE_ROLLBACK_IN_PROGRESS", reason)
    stack.plan = before
    failed = []
    for logical_id in reversed(list(stack.resources)):
        resource, old = stack.resources[logical_id], earlier.get(logical_id)
        if old is None and resource.physical_id and resource.is_retained_after_roll_back:
            note(stack, resource, "DELETE_SKIPPED")
            del stack.resources[logical_id]
            continue
        if old is None or old.physical_id != resource.physical_id:
            if resource.physical_id and not remove(stack, resource):
                stack.leftovers.append(resource)
            if old is None:
                del stack.resources[logical_id]
            else:
                stack.resources[logical_id] = old
                note(stack, old, "UPDATE_COMPLETE")
            continue
        differs = old.properties != resource.properties or resource.status == "UPDATE_FAILED"
        if differs and not restore(stack, resource, old):
            failed.append(logical_id)
    set_status(stack, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
    _clear_leftovers(stack)
    _end(stack, "UPDATE_ROLLBACK", "update", failed)


def _delete_all(stack: Stack, *, after_creation: bool = False) -> list[str]:
    """Delete every resource in reverse order; returns the logical ids of those that could not be."""
    failed = []
    for logical_id in _deletion_order(stack, stack.resources):
        resource = stack.resources[logical_id]
        if not resource.physical_id:
            note(stack, resource, "DELETE_COMPLETE")
        elif resource.is_retained_after_roll_back if after_creation else resource.is_retained:
            note(stack, resource, "DELETE_SKIPPED")
        elif not remove(stack, resource):
            failed.append(logical_id)
            continue
        del stack.resources[logical_id]
    stacks.save(stack)
    return failed


def _clear_leftovers(stack: Stack) -> None:
    for resource in list(stack.leftovers):
        if resource.physical_id:
            remove(stack, resource)
        stack.leftovers.remove(resource)


def _deletion_order(stack: Stack, resources: Mapping[str, Resource]) -> list[str]:
    """Reverse of the order of making, which the dictionary keeps but for resources that were added by an update."""
    template = stack.template
    try:
        made = order(template, set(template["Resources"]) & set(resources))
    except TemplateError:
        made = []
    added = [key for key in resources if key not in made]
    return [*reversed(added), *reversed(made)]


def _end(stack: Stack, operation: str, verb: str, failed: list[str]) -> None:
    if failed:
        reason = f"The following resource(s) failed to {verb}: [{', '.join(failed)}]. "
        set_status(stack, f"{operation}_FAILED", reason)
    else:
        set_status(stack, f"{operation}_COMPLETE")
