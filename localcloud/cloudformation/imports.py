# SPDX-License-Identifier: Apache-2.0
"""Taking resources that exist into a stack: by a change set of type IMPORT, or whatever is there already by its name.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.cloudformation.resource_types import Target, known_types, type_of
from localcloud.cloudformation.stacks import Plan, Resource, Stack, neighbours
from localcloud.cloudformation.templates import TemplateError

RETAINING = ("Retain", "RetainExceptOnCreate")

Imports = dict[str, dict[str, str]]


def found(stack: Stack, plan: Plan, parameters: Mapping[str, Any], changes: list[dict[str, Any]]) -> Imports:
    """What a change set imports, by logical id what names it.

    Args:
        stack: The stack that takes it in.
        plan: What the stack shall become.
        parameters: Of CreateChangeSet.
        changes: What the change set does.

    Raises:
        TemplateError: It is not to be imported as it is asked for.
    """
    added = [each["ResourceChange"] for each in changes if each["ResourceChange"]["Action"] == "Add"]
    if parameters.get("ChangeSetType") == "IMPORT":
        imports = _asked_for(stack, plan, parameters.get("ResourcesToImport") or [])
        others = sorted({each["ResourceChange"]["LogicalResourceId"] for each in changes} - set(imports))
        if others:
            raise TemplateError(
                f"You have modified resources [{', '.join(others)}] in your template that are not being imported. "
                "Update, create or delete operations cannot be executed during import operations."
            )
        return imports
    if not parameters.get("ImportExistingResources"):
        return {}
    names = [change["LogicalResourceId"] for change in added]
    named = {name: _name(stack, plan.template["Resources"][name]) for name in names}
    return {name: identifier for name, identifier in named.items() if identifier}


def mark(changes: list[dict[str, Any]], imports: Imports) -> None:
    """Call the changes by which something is taken in Import."""
    for each in changes:
        if each["ResourceChange"]["LogicalResourceId"] in imports:
            each["ResourceChange"]["Action"] = "Import"


def identifiers(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What GetTemplateSummary says of how the template's resources are named in imports."""
    by_kind: dict[str, list[str]] = {}
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] in known_types() and type_of(resource["Type"]).is_importable:
            by_kind.setdefault(resource["Type"], []).append(logical_id)
    return [
        {
            "ResourceType": kind,
            "LogicalResourceIds": logical_ids,
            "ResourceIdentifiers": [",".join(type_of(kind).schema.identifiers)],
        }
        for kind, logical_ids in by_kind.items()
    ]


def _asked_for(stack: Stack, plan: Plan, wanted: list[Mapping[str, Any]]) -> Imports:
    imports: Imports = {}
    for each in wanted:
        logical_id, identifier = each["LogicalResourceId"], dict(each["ResourceIdentifier"])
        definition = plan.template["Resources"].get(logical_id)
        if definition is None or definition["Type"] != each["ResourceType"]:
            raise TemplateError(f"Resource {logical_id} to import is not a {each['ResourceType']} of the template")
        kind = type_of(definition["Type"])
        if not kind.is_importable:
            raise TemplateError(f"ResourceTypes [{definition['Type']}] are not supported for Import")
        if "DeletionPolicy" not in definition:
            raise TemplateError(f"Resources [{logical_id}] to import have no DeletionPolicy attribute")
        if set(identifier) != set(kind.schema.identifiers):
            names = ", ".join(kind.schema.identifiers)
            raise TemplateError(f"Resource {logical_id} is identified by [{names}], not by {sorted(identifier)}")
        owner = _owner(stack, definition["Type"], next(iter(identifier.values())))
        if owner:
            raise TemplateError(f"Resource {identifier} belongs to stack {owner} already")
        imports[logical_id] = identifier
    return imports


def _name(stack: Stack, definition: Mapping[str, Any]) -> dict[str, str]:
    """What names a resource that exists and may be taken in by its name alone; empty where it is to be made."""
    kind = type_of(definition["Type"])
    if not kind.is_importable or definition.get("DeletionPolicy") not in RETAINING:
        return {}
    properties = definition.get("Properties", {})
    names = {name: properties.get(name) for name in kind.schema.identifiers}
    # The primary identifier must be in the template as plain text, and not one that the service gives.
    if not all(isinstance(value, str) for value in names.values()):
        return {}
    (name,) = names.values()
    target = Target(stack, Resource("", definition["Type"]), properties)
    return names if kind.exists(target, name) and not _owner(stack, definition["Type"], name) else {}


def _owner(stack: Stack, kind: str, physical_id: str) -> str:
    for other in (stack, *neighbours(stack)):
        if any((one.kind, one.physical_id) == (kind, physical_id) for one in other.resources.values()):
            return other.name
    return ""
