# SPDX-License-Identifier: Apache-2.0
"""Every setting of an environment stands in docs/settings.md, as it is."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel

from infra.settings import Settings
from infra.settings_reference import PAGE, filled, reference, table


def test_the_page_says_what_the_settings_are() -> None:
    page = PAGE.read_text()
    assert page == filled(page), "docs/settings.md is stale: run `python -m infra.settings_reference`"


def test_every_field_is_described_and_named() -> None:
    text = reference()
    named = dict(fields(Settings))
    assert len(named) > 25
    assert [name for name, description in named.items() if not description or f"| {description} |" not in text] == []
    assert [name for name in named if f"| `{name}` |" not in text] == []


def test_says_values_and_defaults() -> None:
    text = reference()
    assert "| `delivery.canary_percent` | 1 to 50 | `10` |" in text
    assert '| `removal` | `"destroy"`, `"retain"` | `"retain"` |' in text
    assert "| `network.subnets` | list of `^subnet-[0-9a-f]+$` | required |" in text


def test_fills_its_own_place_and_leaves_the_rest() -> None:
    page = "# Before\n<!-- environments: begin -->\nold\n<!-- environments: end -->\nafter\n"
    new = filled(page)
    assert new.startswith("# Before\n<!-- environments: begin -->\n\n### The environment\n")
    assert new.endswith("<!-- environments: end -->\nafter\n")
    assert "\nold\n" not in new
    assert filled(new) == new


def test_a_bar_does_not_end_a_cell() -> None:
    assert table(["a"], [["x|y"]]) == "| a |\n| --- |\n| x\\|y |\n"


def fields(model: type[BaseModel], prefix: str = "") -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for name, field in model.model_fields.items():
        sections = [each for each in (field.annotation, *get_args(field.annotation)) if isinstance(each, type)]
        inner = [each for each in sections if issubclass(each, BaseModel)]
        found += fields(inner[0], f"{prefix}{name}.") if inner else [(f"{prefix}{name}", field.description)]
    return found
