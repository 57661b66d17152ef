# SPDX-License-Identifier: Apache-2.0
"""CloudWatch Logs of jobs and endpoints: a file that a process writes is followed into a log stream."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

INTERVAL = 0.5
"""Seconds between two looks at the file."""
LONGEST_LINE = 200_000
"""Characters of an event; CloudWatch takes 256 kB."""


def write_lines(logs: Any, group: str, stream: str, lines: Sequence[str]) -> None:
    """Append lines to a log stream, which is made if need be; a log that cannot be written must not end anything else.

    Args:
        logs: CloudWatch Logs client.
        group: Log group.
        stream: Log stream.
        lines: Empty ones are left out.
    """
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line[:LONGEST_LINE]} for line in lines if line.strip()]
    for start in range(0, len(events), 1000):
        batch = {"logGroupName": group, "logStreamName": stream, "logEvents": events[start : start + 1000]}
        with contextlib.suppress(ClientError, BotoCoreError):
            try:
                logs.put_log_events(**batch)
            except logs.exceptions.ResourceNotFoundException:
                _make_stream(logs, group, stream)
                logs.put_log_events(**batch)


def _make_stream(logs: Any, group: str, stream: str) -> None:
    with contextlib.suppress(ClientError):
        try:
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
        except logs.exceptions.ResourceNotFoundException:
            logs.create_log_group(logGroupName=group)
            logs.create_log_stream(logGroupName=group, logStreamName=stream)


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
        _make_stream(self._logs, self._group, self._stream)
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
        write_lines(self._logs, self._group, self._stream, lines)
        if self._on_line:
            for line in lines:
                self._on_line(line)
