# SPDX-License-Identifier: Apache-2.0
"""Values of a policy's file, read strictly: whatever is wrong is an error that names its place and what is known."""

import math
import reprlib
from collections.abc import Mapping
from typing import Any

from training_src.evaluation.errors import PolicyError

GREATEST_COUNT = 10**12
"""Which no test set reaches, and which a float still tells from its neighbours."""
# By aliases a few lines stand for gigabytes.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 200, 200


def section(content: object, place: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """A mapping that has all needed keys, and none but these and the optional ones."""
    found = mapping(content, place)
    within = f"{place}." if place else ""
    for name in found:
        if name not in (*needed, *optional):
            raise PolicyError(f"{within}{name}: is not known; the known are {', '.join((*needed, *optional))}")
    for name in needed:
        if name not in found:
            raise PolicyError(f"{within}{name}: is missing")
    return found


def mapping(content: object, place: str) -> Mapping[str, Any]:
    """A mapping whose keys are texts."""
    if not isinstance(content, dict):
        raise PolicyError(f"{place or 'the whole file'}: {shown(content)} stands where names with values are needed")
    for name in content:
        if not isinstance(name, str):
            raise PolicyError(f'{place or "the whole file"}: {shown(name)} is no name; quote it: "{name}"')
    return content


def thresholds(
    content: object, place: str, known: tuple[str, ...], *, zero: bool = False, at_least_one: bool = False
) -> dict[str, float]:
    """Shares by known names."""
    found = mapping(content, place)
    for name in found:
        if name not in known:
            raise PolicyError(f"{place}.{name}: is not known; the known are {', '.join(known)}")
    if at_least_one and not found:
        raise PolicyError(f"{place}: is empty; give at least one of {', '.join(known)}")
    return {name: number(value, f"{place}.{name}", zero=zero) for name, value in found.items()}


def number(value: object, place: str, *, zero: bool = False) -> float:
    """A number up to 1, above 0 or from 0 on. YAML takes `1e-3`, which has no point, for a text."""
    found = _float(value)
    if not (0 <= found <= 1 if zero else 0 < found <= 1):
        raise PolicyError(f"{place}: {shown(value)} is no number {'from 0 to 1' if zero else 'above 0, up to 1'}")
    return found


def positive(value: object, place: str) -> float:
    """A finite number above 0."""
    found = _float(value)
    if not 0 < found < math.inf:
        raise PolicyError(f"{place}: {shown(value)} is no number above 0")
    return found


def count(value: object, place: str) -> int:
    """A whole number of 1 or more, up to `GREATEST_COUNT`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= GREATEST_COUNT:
        raise PolicyError(f"{place}: {shown(value)} is no whole number of 1 or more, up to {GREATEST_COUNT:,}")
    return value


def names(content: object, place: str) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise PolicyError(f"{place}: {shown(content)} stands where a list of names is needed")
    return tuple(content)


def shown(value: object) -> str:
    """A value as a message shows it, however much it holds."""
    return "nothing" if value is None else _SHORT.repr(value)


def _float(value: object) -> float:
    try:
        return math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        return math.nan
