# SPDX-License-Identifier: Apache-2.0
"""Child processes of the cloud: jobs' and endpoints' containers, as processes that end when the cloud does."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcloud import supervisor

KILLED = 137
"""Exit code of a process that SIGKILL ended."""
USAGE = "usage.json"
"""Beside a process's log, what it took; no part of what AWS answers."""


class Process:
    """A running command in a process group of its own, with exactly the environment given.

    Args:
        command: Program and arguments.
        directory: Working directory.
        environment: The whole environment; nothing is inherited.
        log: Standard output and error are appended to this file; `usage.json` beside it says, once the command has
            ended, how many CPU seconds it took.
    """

    def __init__(self, command: Sequence[str], directory: Path, environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as file:
            self._line = subprocess.Popen(  # the image says what to run
                [sys.executable, "-I", "-S", str(Path(supervisor.__file__)), str(log.with_name(USAGE)), *command],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._line.poll() is None

    def terminate(self) -> None:
        """Ask the command to end (SIGTERM)."""
        if self._line.stdin and not self._line.stdin.closed:
            with contextlib.suppress(OSError):
                self._line.stdin.write(b"t")
                self._line.stdin.flush()

    def kill(self) -> None:
        """End the command and everything that it started (SIGKILL)."""
        if self._line.stdin and not self._line.stdin.closed:
            with contextlib.suppress(OSError):
                self._line.stdin.close()

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code (128 + n for signal n; negative if the supervisor was lost), or None after `seconds`."""
        try:
            return self._line.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, grace: float) -> int:
        """SIGTERM, then SIGKILL after `grace` seconds; returns the exit code."""
        self.terminate()
        code = self.wait(grace)
        if code is None:
            self.kill()
            code = self._line.wait()
        return code


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(home: Path) -> float:
    """CPU seconds of a job, `.mapgate/jobs/<name>`, all its instances together, as far as they have ended."""
    files = [*home.glob(USAGE), *home.glob(f"algo-*/{USAGE}")]
    return sum(float(json.loads(path.read_text())["cpu_seconds"]) for path in files)
