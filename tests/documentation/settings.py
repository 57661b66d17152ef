# SPDX-License-Identifier: Apache-2.0
"""docs/settings.md: a place for each kind of setting, between two marks, filled from the code; the rest is written."""

import re
from collections.abc import Callable, Mapping

from tests.documentation import DOCS, environments, hyperparameters, parameters

PAGE = DOCS / "settings.md"
PLACES: Mapping[str, Callable[[], str]] = {
    "environments": environments.reference,
    "parameters": parameters.reference,
    "hyperparameters": hyperparameters.reference,
}


def filled(page: str) -> str:
    """Return the page with every place filled.

    Raises:
        ValueError: The page has no such place.
    """
    for place, reference in PLACES.items():
        begin, end = (f"<!-- {place}: {mark} -->\n" for mark in ("begin", "end"))
        parts = re.split(f"(?<={begin}).*?(?={end})", page, flags=re.DOTALL)
        if len(parts) != 2:
            raise ValueError(
                f"the page has {len(parts) - 1} places for {place}, between {begin.strip()} and {end.strip()}"
            )
        page = f"{parts[0]}{reference()}\n{parts[1]}"
    return page
