# SPDX-License-Identifier: Apache-2.0
"""CloudFormation templates: reading them, finding what depends on what, and resolving intrinsic functions. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

import yaml

NO_VALUE = object()
PSEUDO_PARAMETERS = frozenset(
    f"AWS::{name}"
    for name in ("AccountId", "NoValue", "NotificationARNs", "Partition", "Region", "StackId", "StackName", "URLSuffix")
)
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")
_DYNAMIC_REFERENCE = re.compile(r"\{\{resolve:([^}]+)\}\}")


class TemplateError(Exception):
    """The template cannot be used; the message is what AWS's error of that code would say."""

    code = "ValidationError"


@dataclass
class Resolver:
    """Everything an intrinsic function may look at.

    Attributes:
        template: The whole template.
        parameters: Values by parameter name, SSM-typed ones already looked up.
        pseudo: Values by pseudo parameter name ("AWS::Region").
        reference: Physical id of a created resource, by logical id.
        attribute: Attribute of a created resource, by logical id and attribute name.
        imported: Value of an export, by its name.
        dynamic: Value of a dynamic reference ("ssm:/name").
    """

    template: Mapping[str, Any]
    parameters: Mapping[str, Any]
    pseudo: Mapping[str, Any]
    reference: Callable[[str], str]
    attribute: Callable[[str, str], Any]
    imported: Callable[[str], str]
    dynamic: Callable[[str], str]
    _conditions: dict[str, bool] = field(default_factory=dict)

    def resolve(self, value: Any) -> Any:
        """`value` with every intrinsic function replaced; properties that are AWS::NoValue vanish."""
        if isinstance(value, dict):
            function = _function(value)
            if function:
                return self._apply(*function)
            resolved = {key: self.resolve(part) for key, part in value.items()}
            return {key: part for key, part in resolved.items() if part is not NO_VALUE}
        if isinstance(value, list):
            return [part for part in map(self.resolve, value) if part is not NO_VALUE]
        if isinstance(value, str) and "{{resolve:" in value:
            return _DYNAMIC_REFERENCE.sub(lambda found: self.dynamic(found.group(1)), value)
        return value

    def condition(self, name: str) -> bool:
        """Whether the named condition of the template holds."""
        if name not in self._conditions:
            try:
                definition = self.template["Conditions"][name]
            except KeyError:
                raise TemplateError(f"Template error: unresolved condition dependency {name}") from None
            self._conditions[name] = bool(self.resolve(definition))
        return self._conditions[name]

    def _apply(self, name: str, argument: Any) -> Any:
        if name == "Fn::If":
            condition, then, otherwise = argument
            return self.resolve(then if self.condition(condition) else otherwise)
        if name == "Condition":
            return self.condition(argument)
        if name == "Fn::Sub":
            return self._substitute(argument)
        if name == "Fn::GetAtt":
            logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
            return self.attribute(logical_id, self.resolve(attribute))
        argument = self.resolve(argument)
        if name == "Ref":
            return self._reference(argument)
        if name == "Fn::ImportValue":
            return self.imported(argument)
        if name == "Fn::FindInMap":
            return self._find_in_map(argument)
        try:
            return _PURE_FUNCTIONS[name](argument)
        except KeyError:
            raise TemplateError(f"Template error: the emulated cloud has no function {name}") from None

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO_PARAMETERS:
            return self.pseudo[name]
        return self.parameters[name] if name in self.parameters else self.reference(name)

    def _substitute(self, argument: Any) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument

        def value(found: re.Match[str]) -> str:
            literal, name = found.groups()
            if literal:
                return "${" + name + "}"
            if name in given:
                return text_of(self.resolve(given[name]))
            if "." in name:
                return text_of(self.attribute(*name.split(".", 1)))
            return text_of(self._reference(name))

        return str(self.resolve(_VARIABLE.sub(value, text)))

    def _find_in_map(self, argument: list[Any]) -> Any:
        name, first, second, *default = argument
        try:
            return self.template["Mappings"][name][first][second]
        except KeyError:
            if default:
                return default[0]["DefaultValue"]
            raise TemplateError(f"Template error: Unable to get mapping for {name}::{first}::{second}") from None


def parse(text: str) -> dict[str, Any]:
    """A template from JSON or YAML, short forms (`!Ref x`) written out.

    Raises:
        TemplateError: It is neither, or has no resources.
    """
    try:
        template = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=_Loader)
    except (ValueError, yaml.YAMLError) as error:
        raise TemplateError(f"Template format error: {error}") from error
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict) or not template["Resources"]:
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    return template


def order(template: Mapping[str, Any], included: set[str]) -> list[str]:
    """Logical ids such that each comes after everything it refers to or DependsOn.

    Args:
        template: The whole template.
        included: Logical ids of the resources whose condition holds.

    Raises:
        TemplateError: A reference to nothing, or a circle.
    """
    resources = template["Resources"]
    known = set(resources) | set(template.get("Parameters", {})) | PSEUDO_PARAMETERS
    graph: dict[str, set[str]] = {}
    for logical_id in sorted(included):
        needed = {name for name, _ in references(resources[logical_id])}
        missing = needed - known
        if missing:
            raise TemplateError(
                f"Template format error: Unresolved resource dependencies {sorted(missing)} in the Resources block of "
                "the template"
            )
        graph[logical_id] = needed & included - {logical_id}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise TemplateError(f"Circular dependency between resources: {sorted(set(error.args[1]))}") from error


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Every name that Ref, GetAtt, Sub or DependsOn in `value` mentions, with the attribute asked for or ""."""
    if isinstance(value, list):
        for part in value:
            yield from references(part)
    if not isinstance(value, dict):
        return
    for key, part in value.items():
        if key == "Ref" and isinstance(part, str):
            yield part, ""
        elif key == "Fn::GetAtt":
            name, attribute = part.split(".", 1) if isinstance(part, str) else part
            yield name, attribute if isinstance(attribute, str) else ""
        elif key == "DependsOn" and isinstance(part, str | list):
            yield from ((name, "") for name in ([part] if isinstance(part, str) else part))
        elif key == "Fn::Sub":
            text, given = (part, {}) if isinstance(part, str) else part
            names = {name.partition(".")[::2] for literal, name in _VARIABLE.findall(text) if not literal}
            yield from ((name, attribute) for name, attribute in names if name not in given)
            yield from references(given)
        else:
            yield from references(part)


def _function(value: dict[str, Any]) -> tuple[str, Any] | None:
    if len(value) != 1:
        return None
    ((name, argument),) = value.items()
    is_condition = name == "Condition" and isinstance(argument, str)
    return (name, argument) if name == "Ref" or name.startswith("Fn::") or is_condition else None


def text_of(value: Any) -> str:
    """A plain value as CloudFormation writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


_PURE_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "Fn::And": all,
    "Fn::Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Fn::Contains": lambda argument: argument[1] in argument[0],
    "Fn::Equals": lambda argument: text_of(argument[0]) == text_of(argument[1]),
    "Fn::Join": lambda argument: argument[0].join(map(text_of, argument[1])),
    "Fn::Length": len,
    "Fn::Not": lambda argument: not argument[0],
    "Fn::Or": any,
    "Fn::Select": lambda argument: argument[1][int(argument[0])],
    "Fn::Split": lambda argument: argument[1].split(argument[0]),
    "Fn::ToJsonString": lambda argument: json.dumps(argument, separators=(",", ":")),
}


class _Loader(yaml.SafeLoader):
    """YAML as CloudFormation reads it: short forms are functions, a date stays a string."""


def _short_form(loader: yaml.Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    argument: Any
    if isinstance(node, yaml.ScalarNode):
        argument = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        argument = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        argument = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": argument}


def _text_of(loader: yaml.Loader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_multi_constructor("!", _short_form)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text_of)
