# SPDX-License-Identifier: Apache-2.0
"""Every setting, pipeline parameter and hyperparameter stands in docs/settings.md, as it is."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from pydantic import BaseModel

from infra.settings import Settings
from tests.documentation import DOCS, hyperparameters, parameters, table
from tests.documentation.environments import reference
from tests.documentation.settings import PAGE, PLACES, filled


def test_the_page_says_what_the_settings_are() -> None:
    page = PAGE.read_text()
    assert page == filled(page), "docs/settings.md is stale: run `make reference`"


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


def test_every_parameter_is_explained() -> None:
    text = parameters.reference()

    assert "| `Architecture` | String | `ssd_mobilenet_v2_fpnlite_640x640` | Zoo name of the detector," in text
    assert "| `LabelMapUri` | String | `s3://<data bucket>/defaults/none/` |" in text
    assert "| `DatasetUri` | String | must be given |" in text
    assert [name for name, meaning in parameters.meanings().items() if not meaning or f"| `{name}` |" not in text] == []


def test_every_hyperparameter_is_explained() -> None:
    text = hyperparameters.reference()

    assert "| `seed` | a whole number of 0 or more | `17` | Of weights, order and augmentation. |" in text
    assert "| `early_stopping_metric` | one of mAP, loss | `mAP` |" in text
    fields = {name: field for kind in hyperparameters.KINDS for name, field in kind.model_fields.items()}
    assert len(fields) > 20
    assert [name for name, field in fields.items() if not field.description or text.count(f"| `{name}` |") != 1] == []


def test_fills_every_place_and_leaves_the_rest() -> None:
    empty = "".join(f"# {place}\n<!-- {place}: begin -->\nold\n<!-- {place}: end -->\nafter\n" for place in PLACES)

    page = filled(empty)

    assert page.startswith("# environments\n<!-- environments: begin -->\n\n### The environment\n")
    assert "\nold\n" not in page and page.count("\nafter\n") == len(PLACES)
    assert filled(page) == page
    with pytest.raises(ValueError, match="0 places for parameters"):
        filled(page.replace("<!-- parameters: end -->\n", ""))


def test_every_variable_of_the_command_is_named() -> None:
    rows = PAGE.read_text().partition("## The command's variables")[2]
    pipelines = DOCS.parent / "pipelines"
    sources = [file for room in ("commands", "client", "zoo") for file in (pipelines / room).glob("*.py")]
    read = {
        name for file in [*sources, pipelines / "cli.py"] for name in re.findall(r"\bMAPGATE_[A-Z_]+", file.read_text())
    }

    assert "MAPGATE_HOME" in read
    assert [name for name in sorted(read) if f"`{name}`" not in rows] == []


def test_a_bar_does_not_end_a_cell() -> None:
    assert table(["a"], [["x|y"]]) == "| a |\n| --- |\n| x\\|y |\n"


def fields(model: type[BaseModel], prefix: str = "") -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for name, field in model.model_fields.items():
        sections = [each for each in (field.annotation, *get_args(field.annotation)) if isinstance(each, type)]
        inner = [each for each in sections if issubclass(each, BaseModel)]
        found += fields(inner[0], f"{prefix}{name}.") if inner else [(f"{prefix}{name}", field.description)]
    return found
