# SPDX-License-Identifier: Apache-2.0
"""The training image's entry points: `python -m training_src train|prepare|evaluate|check`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

COMMANDS = ("train", "prepare", "evaluate", "check")


def main(arguments: Sequence[str]) -> int:
    """Run one entry point. Each is imported only when asked for: TensorFlow takes seconds, and two do without."""
    command = arguments[0] if arguments else ""
    if command == "train":
        from training_src import train

        return train.main()
    if command == "prepare":
        from training_src import prepare

        return prepare.main()
    if command == "evaluate":
        from training_src import evaluate

        return evaluate.main()
    if command == "check":
        from training_src import prepare

        return prepare.run_check(arguments[1:])
    print(f'There is no command "{command}"; give one of {", ".join(COMMANDS)}.', file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
