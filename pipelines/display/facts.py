# SPDX-License-Identifier: Apache-2.0
"""What is known, a name and its value a line; prose goes on under itself, and addresses are never broken."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

_LEAST = 30


def fact_lines(facts: Mapping[str, object], width: int, *, indent: int = 2) -> Iterator[str]:
    """The lines of what is known; None is left out.

    Args:
        facts: Values by their names.
        width: Columns of the screen.
        indent: Of the names.
    """
    known = {name: str(value) for name, value in facts.items() if value is not None}
    names = max(map(len, known), default=0)
    after = " " * (indent + names + 2)
    for name, value in known.items():
        first, *others = _wrapped(value, width - len(after))
        yield f"{' ' * indent}{name:<{names}}  {first}"
        yield from (after + line for line in others)


def sentence_lines(sentence: str, width: int, *, indent: int = 2, hanging: int = 2) -> Iterator[str]:
    """The lines of a sentence.

    Args:
        sentence: Of one line or more.
        width: Columns of the screen.
        indent: Of the first line.
        hanging: How much further in the others begin.
    """
    first, *others = _wrapped(sentence, width - indent - hanging)
    yield " " * indent + first
    yield from (" " * (indent + hanging) + line for line in others)


def _wrapped(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, max(room, _LEAST), break_long_words=False, break_on_hyphens=False) or [""]
