# SPDX-License-Identifier: Apache-2.0
"""What a template must look like, whatever it makes. Pure.

The sentences are AWS's, recorded in LocalStack's tests/aws/services/cloudformation (api/test_validations.py,
engine/test_mappings.py, test_change_set_*.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localcloud.cloudformation.templates import TemplateError

_NAME = re.compile(r"[A-Za-z0-9]+")
_OF_RESOURCES = frozenset(
    {
        "Condition",
        "CreationPolicy",
        "DeletionPolicy",
        "DependsOn",
        "Fn::Transform",
        "Metadata",
        "Properties",
        "Type",
        "UpdatePolicy",
        "UpdateReplacePolicy",
        "Version",
    }
)


def refuse_odd_structure(template: Mapping[str, Any]) -> None:
    """Refuse a template of the wrong form.

    Raises:
        TemplateError: Names what is wrong, and where.
    """
    for sentence in (*_odd_blocks(template), *_odd_functions(template, template)):
        raise TemplateError(sentence)


def _odd_blocks(template: Mapping[str, Any]) -> Iterator[str]:
    for block, what in (("Resources", "Resource"), ("Parameters", "Parameter")):
        for name in template.get(block) or {}:
            if not _NAME.fullmatch(str(name)):
                yield f"Template format error: {what} name {name} is non alphanumeric."
    for name, resource in template["Resources"].items():
        if not isinstance(resource, dict):
            yield "Template format error: Any Resources member must be an object."
        elif "Type" not in resource:
            yield f"Template format error: [/Resources/{name}] Every Resources object must contain a Type member."
        elif unknown := sorted(set(resource) - _OF_RESOURCES):
            yield f"Invalid template resource property '{unknown[0]}'"
    for name, output in (template.get("Outputs") or {}).items():
        if isinstance(output, dict) and "Value" in output and output["Value"] is None:
            yield f"[/Outputs/{name}/Value] 'null' values are not allowed in templates"
    for mapping in (template.get("Mappings") or {}).values():
        yield from _odd_mapping(mapping)


def _odd_mapping(mapping: Any) -> Iterator[str]:
    for name, second in mapping.items() if isinstance(mapping, dict) else ():
        if not isinstance(second, dict):
            yield f"Template format error: Every Mappings member {name} must be a map"
        elif any(isinstance(value, dict) for value in second.values()):
            yield "Template format error: Every Mappings attribute must be a String or a List."


def _odd_functions(value: Any, template: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _odd_functions(part, template)
    if not isinstance(value, dict):
        return
    for key, part in value.items():
        if key in _FORMS and len(value) == 1 and not _FORMS[key](part):
            yield _SENTENCES[key]
        if key == "Fn::If" and isinstance(part, list) and str(part[0]) not in (template.get("Conditions") or {}):
            yield f"Template error: unresolved condition dependency {part[0]} in Fn::If"
        if key == "Fn::FindInMap" and isinstance(part, list):
            yield from _unknown_in_map(part, template.get("Mappings") or {})
        yield from _odd_functions(part, template)


def _unknown_in_map(path: list[Any], mappings: Any) -> Iterator[str]:
    if len(path) != 3 or not all(isinstance(part, str) for part in path):
        return
    for part in path:
        if not isinstance(mappings, dict) or part not in mappings:
            yield f"Template error: Unable to get mapping for {'::'.join(path)}"
            return
        mappings = mappings[part]


def _selects(argument: Any) -> bool:
    if not isinstance(argument, list) or len(argument) != 2:
        return False
    index, choices = argument
    return (isinstance(index, dict) or str(index).isdecimal()) and isinstance(choices, list | dict)


def _names_attribute(argument: Any) -> bool:
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    return isinstance(parts, list) and len(parts) == 2 and all(parts)


def _is_pair(argument: Any) -> bool:
    return isinstance(argument, list) and len(argument) == 2


_FORMS: dict[str, Callable[[Any], bool]] = {
    "Fn::Equals": _is_pair,
    "Fn::GetAtt": _names_attribute,
    "Fn::Select": _selects,
    "Fn::Split": _is_pair,
}
_SENTENCES = {
    "Fn::Equals": "Template error: every Fn::Equals object requires a list of 2 string parameters.",
    "Fn::GetAtt": (
        "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource "
        "attribute"
    ),
    "Fn::Select": "Template error: Fn::Select requires a list argument with two elements: an integer index and a list",
    "Fn::Split": (
        "Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be "
        "split or a function that returns a string to be split."
    ),
}
