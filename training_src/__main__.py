# SPDX-License-Identifier: Apache-2.0
"""`python -m training_src NAME`: the training image's entry points, and the commands that a laptop runs."""

import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module

from training_src import commands
from training_src.command_line import call

# A step's module; it takes what it needs from the platform's files.
JOBS = ("train", "prepare", "join", "evaluate")


def main(words: Sequence[str]) -> int:
    """Run what is named. It is imported only when asked for: TensorFlow takes seconds, and some do without."""
    name = words[0] if words else ""
    known = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    if name == "train" and (refused := import_module("training_src.training.early_judgement").main()):
        return int(refused)
    if name in JOBS:
        return int(import_module(f"training_src.{name}").main())
    if name in known:
        return call(import_module(f"training_src.commands.{name}").run, name, words[1:])
    print(f'There is no command "{name}"; give one of {", ".join([*JOBS, *known])}.', file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
