# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in a job of either image. A message names the thing, the place and the way out."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class MapgateError(Exception):
    """The work failed: exit code 1."""

    exit_code = 1


class BadInputError(MapgateError):
    """What the user gave cannot be worked with: exit code 2."""

    exit_code = 2


class ConfigurationError(BadInputError):
    """A setting, hyperparameter, pipeline.config or job file is wrong."""


class DataError(BadInputError):
    """The data set is wrong.

    Attributes:
        sentences: One a fault.
    """

    def __init__(self, *sentences: str) -> None:
        self.sentences: Sequence[str] = tuple(map(printable, sentences))
        super().__init__(" ".join(self.sentences))


class ArchiveError(BadInputError):
    """An archive is missing, damaged, or not what it should be."""


def printable(text: str) -> str:
    """A text on one line, as it is: names of files may end lines, steer terminals, or turn letters round."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or unicodedata.category(character) == "Zs" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def first_fault(error: ValidationError) -> str:
    """Place and kind of the first thing that is wrong with a document, such as `classes.0.id: Field required`."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the whole file"
    return f"{where}: {first['msg']}"
