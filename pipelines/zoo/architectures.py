# SPDX-License-Identifier: Apache-2.0
"""The architectures that the training source knows, asked for without importing it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import BadInputError

# A file each, named as `--architecture` takes it.
CONFIGS = Path(__file__).resolve().parents[2] / "training_src" / "models" / "configs"


@dataclass(frozen=True)
class Architecture:
    """An architecture as `mapgate architectures --json` tells it.

    Attributes:
        archive: Date and file name on the zoo's server; None where the zoo has no such model.
    """

    name: str
    archive: str | None


def names() -> list[str]:
    """The bundled ones, from their files' names: quick enough for tab completion."""
    return sorted(path.stem for path in CONFIGS.glob("*.config"))


def completed(incomplete: str) -> list[str]:
    """Those that begin so, for the shell."""
    return [name for name in names() if name.startswith(incomplete)]


def find(name: str) -> Architecture:
    """The architecture of any of the zoo's names.

    Raises:
        BadInputError: There is none.
    """
    (found,) = _asked(name)
    return found


def all_architectures() -> list[Architecture]:
    """Every architecture, in the order of the zoo's page."""
    return _asked()


def _asked(*names: str) -> list[Architecture]:
    command = [sys.executable, "-m", "training_src", "architectures", *names, "--json"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise BadInputError(asked.stderr.strip())
    return [Architecture(told["name"], told["archive"]) for told in json.loads(asked.stdout)]
