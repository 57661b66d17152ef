# SPDX-License-Identifier: Apache-2.0
"""The three expressions that a definition may hold instead of a value."""

from collections.abc import Iterator, Mapping
from typing import Any

FUNCTIONS = ("Get", "Std:Join", "Std:JsonGet")


def is_expression(value: Any) -> bool:
    """Return whether a value is a `Get`, a `Std:Join` or a `Std:JsonGet`."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in FUNCTIONS


def expressions(value: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the path and the expression of each one in a value, those inside other expressions too."""
    if isinstance(value, Mapping):
        if is_expression(value):
            yield path, value
        for name, item in value.items():
            yield from expressions(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from expressions(item, f"{path}[{index}]")
