# SPDX-License-Identifier: Apache-2.0
"""A page from a package's template, which extends `base.html.j2`: one file that loads nothing from anywhere."""

import base64
import hashlib
from collections.abc import Collection, Mapping

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

# Lists and tables in dataset.json that are longer than this are for machines.
_LONGEST_FACT = 12


def render_page(package: str, *, script: str = "", **values: object) -> str:
    """The HTML of a package's `templates/report.html.j2`.

    Args:
        package: Such as `training_src.evaluation`.
        script: The only one that a browser runs; "" for none.
        values: The template's own.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("training_src.report")]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["number"] = _number
    environment.filters["thousands"] = lambda value: f"{value:,}" if isinstance(value, int) else value
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(script=script, script_hash=script_hash, **values)


def data_uri(jpeg: bytes) -> str:
    """A JPEG as part of the page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def facts(description: Mapping[str, object], shown_elsewhere: Collection[str]) -> list[tuple[str, str]]:
    """Name and value of what else a document says in a line; its long lists and tables are left to the file."""
    return [(name.replace("_", " "), fact(value)) for name, value in description.items() if name not in shown_elsewhere]


def fact(value: object) -> str:
    """A value in a line, a table within it in brackets."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping | list | tuple):
        if len(value) > _LONGEST_FACT:
            return f"{len(value)} entries"
        entries = value.items() if isinstance(value, Mapping) else [("", one) for one in value]
        return ", ".join(f"{key} {_nested(one)}".strip().replace("_", " ") for key, one in entries) or "none"
    return "unknown" if value is None else str(value) or "none"


def _nested(value: object) -> str:
    return f"({fact(value)})" if isinstance(value, Mapping | list | tuple) else fact(value)


def _number(value: float | None, digits: int = 3) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"
