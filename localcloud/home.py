# SPDX-License-Identifier: Apache-2.0
"""The `.mapgate` directory: where each thing lies, and how a file is written so that a crash never halves it."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Home:
    """Paths under the cloud's directory (default `.mapgate`), made on demand with mode 0700."""

    root: Path

    @property
    def information(self) -> Path:
        return self.root / "cloud.json"

    @property
    def log(self) -> Path:
        return self.root / "cloud.log"

    @property
    def state(self) -> Path:
        return self._directory("state")

    @property
    def jobs(self) -> Path:
        return self._directory("jobs")

    @property
    def executions(self) -> Path:
        return self._directory("executions")

    @property
    def endpoints(self) -> Path:
        return self._directory("endpoints")

    @property
    def functions(self) -> Path:
        return self._directory("functions")

    @property
    def outbox(self) -> Path:
        return self._directory("outbox")

    def _directory(self, name: str) -> Path:
        private_directory(self.root)
        return private_directory(self.root / name)


def private_directory(path: Path) -> Path:
    """Make `path` if need be, readable by its owner only; the state holds keys and secrets."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write beside, flush to the disk, rename: a reader sees the old file or the new one, never a part.

    Args:
        path: The file to replace; its directory must exist.
        content: The whole new content.
    """
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; dates become ISO 8601 strings."""
    write_whole(path, (json.dumps(value, indent=1, default=str) + "\n").encode())


def read_json(path: Path) -> Any | None:
    """The value in the file, or None if there is no such file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
