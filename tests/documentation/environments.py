# SPDX-License-Identifier: Apache-2.0
"""What an environment's file may hold, a table a section."""

import json
from collections.abc import Iterator
from typing import Any

from infra.settings import Settings
from tests.documentation import table

HEADINGS = ("key", "values", "default", "meaning")


def reference() -> str:
    """Return a heading and a table for each section of the settings, the environment's own first."""
    schema = Settings.model_json_schema()
    sections = [("", schema)]
    for name, field in schema["properties"].items():
        definition = _definition(field)
        if definition in schema["$defs"]:
            sections.append((f"{name}.", schema["$defs"][definition]))
    return "".join(
        f"\n### {f'`{prefix[:-1]}`' if prefix else 'The environment'}\n\n{section['description']}\n\n"
        f"{table(HEADINGS, list(_rows(prefix, section)))}"
        for prefix, section in sections
    )


def _rows(prefix: str, section: dict[str, Any]) -> Iterator[list[str]]:
    for name, field in section["properties"].items():
        if _definition(field):
            continue
        default = "required" if name in section.get("required", []) else f"`{json.dumps(field['default'])}`"
        yield [f"`{prefix}{name}`", _values(field), default, field["description"]]


def _definition(field: dict[str, Any]) -> str:
    """Return the name of the section that a field holds; an empty one for a plain value."""
    return str(_stated(field).get("$ref", "")).removeprefix("#/$defs/")


def _stated(field: dict[str, Any]) -> dict[str, Any]:
    """Return the field without the choice of saying nothing."""
    stated = [choice for choice in field.get("anyOf", []) if choice.get("type") != "null"]
    return dict(stated[0]) if stated else field


def _values(field: dict[str, Any]) -> str:
    stated = _stated(field)
    if "enum" in stated:
        return ", ".join(f"`{json.dumps(value)}`" for value in stated["enum"])
    if stated["type"] == "array":
        return f"list of {_values(stated['items'])}"
    if stated["type"] == "integer":
        return f"{stated['minimum']} to {stated['maximum']}" if "maximum" in stated else f"from {stated['minimum']}"
    if "pattern" in stated:
        return f"`{stated['pattern']}`"
    return {"boolean": "`true`, `false`", "string": "text"}[stated["type"]]
