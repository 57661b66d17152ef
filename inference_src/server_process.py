# SPDX-License-Identifier: Apache-2.0
"""The real server as a child process, for measuring what an endpoint will do."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inference_src.errors import MeasurementError
from inference_src.journal import message

START_SECONDS = 600
BUSY_SECONDS = 300
"""How long a request is sent again to a server that answers that it is busy."""
STOP_SECONDS = 40
_ENDING = (signal.SIGTERM, signal.SIGINT)


@dataclass
class ServerProcess:
    """A server that answers.

    Attributes:
        port: Where it listens on 127.0.0.1.
        load_seconds: From the start of its process to the first answered `/ping`.
        resident_megabytes: Its greatest resident memory; known once it has ended.
        told_to_wait: How often it answered 429, and was asked again.
    """

    port: int
    load_seconds: float
    resident_megabytes: float | None = None
    told_to_wait: int = 0
    _counting: threading.Lock = field(default_factory=threading.Lock)
    _connections: threading.local = field(default_factory=threading.local)

    def ask(self, body: bytes, content_type: str = "application/x-image") -> tuple[int, bytes]:
        """Send one request to `/invocations` over this thread's own connection, again where the server is busy.

        Returns:
            The status and the body of the answer.

        Raises:
            MeasurementError: The server does not answer, or says for too long that it is busy.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            response, answer = self._ask_once(body, content_type)
            if response.status != http.HTTPStatus.TOO_MANY_REQUESTS:
                return response.status, answer
            with self._counting:
                self.told_to_wait += 1
            if time.monotonic() > deadline:
                said = answer[:300].decode(errors="replace")
                raise MeasurementError(f"the server said for {BUSY_SECONDS} s that it is busy: {said}")
            time.sleep(_seconds(response.headers.get("Retry-After")))

    def _ask_once(self, body: bytes, content_type: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection = getattr(self._connections, "kept", None)
        if connection is None:
            connection = self._connections.kept = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before it was sent whole
                connection.request("POST", "/invocations", body, {"Content-Type": content_type})
            response = connection.getresponse()
            return response, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise MeasurementError(f"the server stopped answering ({error!r})") from error


def _seconds(retry_after: str | None) -> float:
    """The wait that an answer asks for, in seconds; a date, or nothing, counts as one second."""
    return min(float(retry_after), 60.0) if retry_after and retry_after.isdecimal() else 1.0


@contextlib.contextmanager
def running_server(root: Path, environment: Mapping[str, str]) -> Iterator[ServerProcess]:
    """Run `serve` on the model under `root`/model, on a free loopback port, until the block ends.

    Args:
        root: What the server sees as the platform's root; its log goes to `root`/serve.log.
        environment: The variables that choose runtime and precision.

    Raises:
        MeasurementError: The server does not become ready; the sentence holds its own last line.
    """
    port = _free_port()
    log = root / "serve.log"
    variables = {
        "MAPGATE_ML_ROOT": str(root),
        "MAPGATE_BIND_HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    started = time.monotonic()
    server, process = ServerProcess(port, 0.0), None
    try:
        with log.open("wb") as stream, _signals_wait():
            process = subprocess.Popen(
                [sys.executable, "-m", "inference_src", "serve"],
                cwd=Path(__file__).parents[1],
                env={**os.environ, **variables, **environment},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        wait_until_ready(process, port, log)
        server.load_seconds = time.monotonic() - started
        yield server
    finally:
        server.resident_megabytes = _stop(process) if process else None


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Have both wait for the end of the block: a process that is being started can be stopped by nobody yet."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread only
        return
    asked: list[int] = []
    before = {each: signal.signal(each, lambda number, _: asked.append(number)) for each in _ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in asked[:1]:
            signal.raise_signal(number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for the first answered `/ping`.

    Args:
        process: Of the server.
        port: Where it listens on 127.0.0.1.
        log: Its output.

    Raises:
        MeasurementError: It ended, or was not ready within `START_SECONDS`; the sentence holds its own last line.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise MeasurementError(f"the server ended with {process.returncode}: {_last_line(log)}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/ping")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
        finally:
            connection.close()
    raise MeasurementError(f"the server was not ready within {START_SECONDS} s: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return message(lines[-1]) if lines else "it said nothing"


def _stop(process: subprocess.Popen[bytes]) -> float | None:
    """End the server and give its greatest resident memory in megabytes, or None where it had ended already."""
    if process.poll() is not None:
        return None
    process.send_signal(signal.SIGTERM)
    last_resort = threading.Timer(STOP_SECONDS, process.kill)
    last_resort.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        last_resort.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 2**20
