# SPDX-License-Identifier: Apache-2.0
"""What a plan would change in a stack, as DescribeChangeSet lists it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.cloudformation.evaluation import present, resolver_of
from localcloud.cloudformation.resource_types import type_of
from localcloud.cloudformation.stacks import Plan, Stack
from localcloud.cloudformation.templates import references


def changes(stack: Stack, plan: Plan, *, is_new: bool) -> list[dict[str, Any]]:
    """Each resource that the plan adds, modifies or removes; the outputs alone, if only they differ.

    Raises:
        TemplateError: The template refers to nothing, or in a circle.
    """
    after = _resources(stack, plan)
    before = {} if is_new else _resources(stack, stack.plan)
    changed_values = {key for key in plan.values if plan.values[key] != stack.values.get(key)}
    listed = [_change("Add", key, after[key]["Type"]) for key in after if key not in before]
    listed += [
        _modification(stack, key, before[key], after[key])
        for key in after
        if key in before and _differ(before[key], after[key], changed_values)
    ]
    listed += [
        _change("Remove", key, before[key]["Type"], PhysicalResourceId=_physical_id(stack, key))
        for key in before
        if key not in after
    ]
    if not listed and not is_new and plan.template.get("Outputs", {}) != stack.template.get("Outputs", {}):
        listed.append(_change("Dynamic", "Outputs", "AWS::CloudFormation::Stack"))
    return listed


def _resources(stack: Stack, plan: Plan) -> dict[str, dict[str, Any]]:
    """The template's resources under its conditions."""
    resolver = resolver_of(stack, plan)
    return {key: resolver.template["Resources"][key] for key in present(resolver)}


def _differ(old: Mapping[str, Any], new: Mapping[str, Any], changed_values: set[str]) -> bool:
    named = {name for name, _ in references(new)}
    return bool(named & changed_values) or any(old.get(key) != new.get(key) for key in {*old, *new} - {"Metadata"})


def _physical_id(stack: Stack, logical_id: str) -> str:
    return stack.resources[logical_id].physical_id if logical_id in stack.resources else ""


def _modification(stack: Stack, logical_id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    had, has = old.get("Properties", {}), new.get("Properties", {})
    names = sorted(key for key in {*had, *has} if had.get(key) != has.get(key))
    replaced_by = type_of(new["Type"]).schema.replaced_by
    details = [
        {
            "Target": {
                "Attribute": "Properties",
                "Name": name,
                "RequiresRecreation": "Always" if name in replaced_by else "Never",
            },
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
        for name in names
    ]
    return _change(
        "Modify",
        logical_id,
        new["Type"],
        PhysicalResourceId=_physical_id(stack, logical_id),
        Replacement="True" if set(names) & replaced_by or old["Type"] != new["Type"] else "False",
        Scope=["Properties"],
        Details=details,
    )


def _change(action: str, logical_id: str, kind: str, **more: Any) -> dict[str, Any]:
    change = {"Action": action, "LogicalResourceId": logical_id, "ResourceType": kind, "Scope": [], "Details": []}
    return {"Type": "Resource", "ResourceChange": {**change, **more}}
