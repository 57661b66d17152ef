# SPDX-License-Identifier: Apache-2.0
"""The training image's commands, run here as a process of their own: `mapgate` needs none of their libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def training_source(command: str, *arguments: str | Path | None) -> int:
    """Run `python -m training_src COMMAND ARGUMENTS` on this terminal; returns its exit code.

    Args:
        command: One of training_src's.
        arguments: Those that are None are left out.
    """
    given = [str(argument) for argument in arguments if argument is not None]
    return subprocess.run([sys.executable, "-m", "training_src", command, *given], check=False).returncode


def option(name: str, value: object | None) -> tuple[str, ...]:
    """`--name value`, or nothing where there is no value; a switch for True."""
    if value is None or value is False:
        return ()
    return (name,) if value is True else (name, str(value))
