# SPDX-License-Identifier: Apache-2.0
"""The training image's entry points: `python -m training_src train|prepare|evaluate`, and the laptop's commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

# Jobs take what they need from the platform's files.
JOBS = {"train": "train", "prepare": "prepare", "join": "join", "evaluate": "evaluate"}
# Commands take arguments: module and function.
COMMANDS = {
    "architectures": ("models.zoo", "run"),
    "check": ("prepare", "run_check"),
    "convert": ("data.convert", "run_convert"),
    "export": ("export.command", "run"),
    "info": ("models.info", "run"),
    "outputs": ("models.outputs", "run"),
    "preview": ("data.preview", "run_preview"),
}


def main(arguments: Sequence[str]) -> int:
    """Run one entry point. Each is imported only when asked for: TensorFlow takes seconds, and some do without."""
    name = arguments[0] if arguments else ""
    if name in JOBS:
        return int(import_module(f"training_src.{JOBS[name]}").main())
    if name in COMMANDS:
        module, function = COMMANDS[name]
        return int(getattr(import_module(f"training_src.{module}"), function)(arguments[1:]))
    print(f'There is no command "{name}"; give one of {", ".join([*JOBS, *COMMANDS])}.', file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
