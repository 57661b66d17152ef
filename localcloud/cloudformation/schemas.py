# SPDX-License-Identifier: Apache-2.0
"""CloudFormation's own schemas of resource types: what one requires, allows, gives, and is replaced by.

They are read from where cfn-lint keeps them, type by type when first asked for (a millisecond each). cfn-lint itself is
not imported: that takes two seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import regex
from jsonschema.exceptions import ValidationError
from jsonschema.validators import Draft202012Validator, extend

from localcloud.cloudformation.templates import text_of

REGION = "us-east-1"
"""Whose types the laptop's cloud knows, wherever a stack says that it stands: no region has more."""


@dataclass(frozen=True)
class Schema:
    """What CloudFormation knows of a resource type.

    Attributes:
        replaced_by: Properties whose change needs another resource.
        attributes: What GetAtt may ask for.
        identifiers: What together names one resource of the type, for imports.
        validator: Judges properties.
    """

    replaced_by: frozenset[str]
    attributes: frozenset[str]
    identifiers: tuple[str, ...]
    validator: Any

    def faults(self, properties: Mapping[str, Any]) -> list[str]:
        """What is wrong with resolved properties, in CloudFormation's words, by place: `#/Name: ...`."""
        found = sorted(self.validator.iter_errors(properties), key=lambda error: list(map(str, error.absolute_path)))
        return [f"{'/'.join(['#', *map(str, error.absolute_path)])}: {_said(error)}" for error in found]


@cache
def schema_of(kind: str) -> Schema:
    """The schema of a type ("AWS::SNS::Topic").

    Raises:
        KeyError: AWS has no such type.
    """
    document = json.loads((_folder() / "resources" / f"{_files()[kind]}.json").read_text())
    given = _properties(document, "readOnlyProperties")
    allowed = {name: form for name, form in document["properties"].items() if name not in given}
    return Schema(
        replaced_by=frozenset(
            name.split("/")[0]
            for rule in ("createOnlyProperties", "conditionalCreateOnlyProperties")
            for name in _properties(document, rule)
        ),
        attributes=frozenset(name.replace("/", ".") for name in given),
        identifiers=tuple(_properties(document, "primaryIdentifier")),
        validator=_Validator({**document, "properties": allowed}),
    )


def is_aws_type(kind: str) -> bool:
    """Whether AWS has the type, whoever else has it."""
    return kind in _files()


def _properties(document: Mapping[str, Any], rule: str) -> list[str]:
    return [pointer.removeprefix("/properties/") for pointer in document.get(rule, [])]


@cache
def _files() -> dict[str, str]:
    """Name of each type's file, by the type."""
    files: dict[str, str] = json.loads((_folder() / "providers" / f"{REGION}.json").read_text())
    return files


@cache
def _folder() -> Path:
    package = find_spec("cfnlint")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("cfn-lint, whose resource schemas the emulated CloudFormation reads, is missing")
    return Path(package.submodule_search_locations[0]) / "data" / "schemas"


def _required(_: Any, names: list[str], value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        yield from (ValidationError(f"required key [{name}] not found") for name in names if name not in value)


def _additional(_: Any, allowed: bool, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if allowed or not isinstance(value, dict):
        return
    patterns = schema.get("patternProperties", {})
    for name in value:
        if name not in schema.get("properties", {}) and not any(regex.search(pattern, name) for pattern in patterns):
            yield ValidationError(f"extraneous key [{name}] is not permitted")


def _pattern_properties(validator: Any, forms: dict[str, Any], value: Any, _: Any) -> Iterator[ValidationError]:
    for name in value if isinstance(value, dict) else ():
        for form in (form for pattern, form in forms.items() if regex.search(pattern, name)):
            yield from validator.descend(value[name], form, path=name)


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    r"""As `pattern` is, but with Unicode's classes (`\p{L}`), which Python's own expressions lack."""
    if isinstance(value, str) and not regex.search(pattern, value):
        yield ValidationError("failed validation constraint for keyword [pattern]")


def _type(validator: Any, names: str | list[str], value: Any, _: Any) -> Iterator[ValidationError]:
    wanted = [names] if isinstance(names, str) else names
    if not any(validator.is_type(value, name) or _reads_as(name, value) for name in wanted):
        found = next(said for name, said in _TYPES.items() if validator.is_type(value, name))
        yield ValidationError(f"expected type: {_TYPES[wanted[0]]}, found: {found}")


_TYPES = {
    "array": "JSONArray",
    "boolean": "Boolean",
    "integer": "Integer",
    "null": "Null",
    "number": "Number",
    "object": "JSONObject",
    "string": "String",
}


def _reads_as(name: str, value: Any) -> bool:
    """CloudFormation takes a number or a boolean for its text, and the other way round."""
    if not isinstance(value, str | int | float):
        return False
    forms = {"string": "(?s).*", "boolean": "true|false", "integer": r"-?\d+", "number": r"-?\d+(\.\d+)?"}
    return name in forms and bool(regex.fullmatch(forms[name], text_of(value)))


def _enum(_: Any, values: list[Any], value: Any, __: Any) -> Iterator[ValidationError]:
    if text_of(value) not in map(text_of, values):
        yield ValidationError(f"{value} is not a valid enum value")


_KEYWORDS = {
    "additionalProperties": _additional,
    "enum": _enum,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "required": _required,
    "type": _type,
}
_Validator = extend(Draft202012Validator, _KEYWORDS)


def _said(error: ValidationError) -> str:
    own = error.validator in _KEYWORDS
    return error.message if own else f"failed validation constraint for keyword [{error.validator}]"
