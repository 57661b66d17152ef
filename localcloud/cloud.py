# SPDX-License-Identifier: Apache-2.0
"""Start, stop and find the laptop's cloud: one detached server process for a `.mapgate` directory."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localcloud.home import Home, private_directory, read_json, write_json

DEFAULT_PORT = 4577
START_SECONDS = 60.0
STOP_SECONDS = 30.0
_TAKEN = os.strerror(errno.EADDRINUSE)
LEAST_ROOM = 1_000_000
"""Bytes without which no server writes its state."""


class CloudError(Exception):
    """The cloud could not be started or stopped; the message says why, and what to do.

    Attributes:
        exit_code: Of a command that ends with it.
    """

    exit_code = 1


@dataclass(frozen=True)
class CloudInfo:
    """What `cloud.json` says of a running cloud.

    Attributes:
        endpoint_url: For `AWS_ENDPOINT_URL`.
        port: Loopback port.
        pid: Process id of the server.
        started: ISO 8601 time of the start.
    """

    endpoint_url: str
    port: int
    pid: int
    started: str


def up(home: Path, port: int | None = None) -> CloudInfo:
    """Start the cloud of `home`, or return the one that runs already.

    Args:
        home: The `.mapgate` directory; made if need be.
        port: Loopback port. Without it the one of the last start, else the first free one from 4577.

    Raises:
        CloudError: The port belongs to another program, or the server did not answer in time.
    """
    home = home.resolve()
    private_directory(home)
    with _only_one(home):
        running = status(home)
        if running:
            if port not in (None, running.port):
                raise CloudError(
                    f"{home}: the cloud runs already on port {running.port}; run `mapgate local down` first"
                )
            return running
        while True:
            chosen = _choose_port(home, port)
            try:
                return _start(home, chosen)
            except CloudError as error:
                # Another program was quicker, and may be gone again: only a port that nobody asked for is left to it.
                taken = not _is_free(chosen) or _TAKEN in str(error)
                if port or _recorded_port(home) or not taken:
                    raise


def down(home: Path) -> bool:
    """Stop the cloud of `home` and the processes that it started; False if none ran.

    Raises:
        CloudError: The process does not end.
    """
    running = status(home)
    if not running:
        return False
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_alive(running.pid):
        if time.monotonic() > deadline:
            raise CloudError(f"{home}: process {running.pid} does not end; look into {Home(home).log}")
        time.sleep(0.05)
    return True


def status(home: Path) -> CloudInfo | None:
    """The running cloud of `home`, or None: a stale `cloud.json` (after kill -9) counts as none."""
    home = home.resolve()
    recorded = read_json(Home(home).information)
    if not recorded or not recorded.get("pid"):
        return None
    information = CloudInfo(**recorded)
    answer = _ask(information.port)
    return information if answer and answer.get("home") == str(home) else None


def _start(home: Path, port: int) -> CloudInfo:
    command = [sys.executable, "-m", "localcloud", "--home", str(home), "--port", str(port)]
    source = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    for name in [n for n in environment if n.startswith(("AWS_", "MOTO_"))]:
        del environment[name]
    with Home(home).log.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=home, start_new_session=True
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CloudError(f"the cloud ended while starting, code {process.returncode}:\n{_last_lines(home)}")
        answer = _ask(port)
        if answer and answer.get("home") == str(home):
            information = CloudInfo(f"http://127.0.0.1:{port}", port, answer["pid"], datetime.now(UTC).isoformat())
            write_json(Home(home).information, asdict(information))
            return information
        time.sleep(0.05)
    process.kill()
    raise CloudError(f"the cloud did not answer on port {port} within {START_SECONDS:.0f} s:\n{_last_lines(home)}")


def _choose_port(home: Path, wanted: int | None) -> int:
    port = wanted or _recorded_port(home)
    if port:
        if _is_free(port):
            return int(port)
        raise CloudError(
            f"port {port} is taken by another program; stop it, or choose another with `mapgate local up --port N` "
            f"(what was deployed under {home} keeps working on any port)"
        )
    return next(p for p in range(DEFAULT_PORT, DEFAULT_PORT + 1000) if _is_free(p))


def _recorded_port(home: Path) -> int | None:
    return (read_json(Home(home).information) or {}).get("port")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _ask(port: int) -> dict[str, Any] | None:
    """What the server on `port` says of itself, or None if it is not one of ours."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/mapgate", timeout=5) as answer:
            value = json.loads(answer.read())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _is_alive(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _last_lines(home: Path) -> str:
    """The end of the server's log; where nothing could be written, that."""
    if shutil.disk_usage(home).free < LEAST_ROOM:
        return f"no space is left where {home} lies: make room, or name another home"
    return "\n".join(Home(home).log.read_text(errors="replace").splitlines()[-15:])


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Two `up` at once wait for each other."""
    with (home / "cloud.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
