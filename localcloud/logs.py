# SPDX-License-Identifier: Apache-2.0
"""CloudWatch Logs of jobs and endpoints: a file that a process writes is followed into a log stream."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

INTERVAL = 0.5
"""Seconds between two looks at the file."""
LONGEST_LINE = 200_000
"""Characters of an event; CloudWatch takes 256 kB."""


class LogFollower:
    """Sends each line of `path` to a log stream soon after it is written, until `finish`.

    Args:
        logs: CloudWatch Logs client.
        group: Log group, made if it does not exist.
        stream: Log stream.
        path: The file; it may not exist yet. What it holds already is sent too.
        on_line: Also called with each line.
    """

    def __init__(
        self, logs: Any, group: str, stream: str, path: Path, on_line: Callable[[str], None] | None = None
    ) -> None:
        self._logs, self._group, self._stream, self._path, self._on_line = logs, group, stream, path, on_line
        self._position = 0
        self._rest = b""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"log {stream}", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Send what is left, and return when it is sent."""
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        with contextlib.suppress(ClientError):
            self._logs.create_log_group(logGroupName=self._group)
        with contextlib.suppress(ClientError):
            self._logs.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
        while not self._ended.wait(INTERVAL):
            self._send(self._lines())
        self._send(self._lines(last=True))

    def _lines(self, last: bool = False) -> list[str]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                new = file.read()
        except FileNotFoundError:
            new = b""
        self._position += len(new)
        *lines, self._rest = (self._rest + new).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if last and self._rest:
            lines, self._rest = [*lines, self._rest], b""
        return [line.decode(errors="replace") for line in lines]

    def _send(self, lines: list[str]) -> None:
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line[:LONGEST_LINE]} for line in lines if line.strip()]
        for start in range(0, len(events), 1000):
            with contextlib.suppress(ClientError, BotoCoreError):  # a log that cannot be sent must not end the job
                self._logs.put_log_events(
                    logGroupName=self._group, logStreamName=self._stream, logEvents=events[start : start + 1000]
                )
        if self._on_line:
            for line in lines:
                self._on_line(line)
