# SPDX-License-Identifier: Apache-2.0
"""What is wrong, where, and by which rule."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One fault of a definition.

    Attributes:
        step: Name of the step; empty for the definition itself.
        path: Of the value inside the step (`Arguments.RoleArn`) or the definition (`Parameters[2].Type`).
        value: What stands there; None where something is missing.
        rule: Which rule it breaks, and what would keep it.
        fatal: Without this part nothing else can be checked.
    """

    step: str
    path: str
    value: Any
    rule: str
    fatal: bool = False

    def __str__(self) -> str:
        """Return one line: step, path, rule, value."""
        where = f"{self.step}: {self.path}" if self.step else self.path
        return f"{where}: {self.rule}" if self.value is None else f"{where}: {self.rule} (is {_short(self.value)})"


def _short(value: Any, longest: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
