# SPDX-License-Identifier: Apache-2.0
"""`mapgate` as somebody types it, and an HTTP server on a loopback port whose faults a test chooses."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines import cli

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment where neither AWS nor the laptop's cloud is to be had."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MAPGATE_"))},
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "MAPGATE_HOME": str(tmp_path / ".mapgate"),
        "COLUMNS": "200",
    }


@pytest.fixture
def mapgate(nowhere: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in a process of its own, where neither AWS nor the laptop's cloud is to be had."""

    def run(*words: object, **further: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipelines.cli", *map(str, words)]
        return subprocess.run(command, cwd=CHECKOUT, env=nowhere | further, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def typed(
    nowhere: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command as `mapgate` does, but within this process: for what a process of its own adds nothing to."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = ["mapgate", *map(str, words)]
        with monkeypatch.context() as changed:
            for name in os.environ.keys() - nowhere.keys():
                changed.delenv(name)
            for name, value in nowhere.items():
                changed.setenv(name, value)
            changed.chdir(CHECKOUT)
            changed.setattr(sys, "argv", command)
            capfd.readouterr()
            with pytest.raises(SystemExit) as ended:
                cli.main()
        code = ended.value.code
        assert isinstance(code, int)
        return subprocess.CompletedProcess(command, code, *capfd.readouterr())

    return run


@dataclass
class FileServer:
    """Serves files, with ranges and strong ETags unless told otherwise.

    Attributes:
        files: By path; another body has another ETag.
        ranges: The Range header of each request so far.
        break_after: After how many bytes of the body each of the next answers breaks off.
        shift: By how many bytes a part begins later than asked.
        pause_after: After how many bytes an answer waits until `go_on` is called; 0: it does not.
    """

    files: dict[str, bytes]
    url: str = ""
    ranges: list[str | None] = field(default_factory=list)
    break_after: list[int] = field(default_factory=list)
    has_ranges: bool = True
    has_marks: bool = True
    has_length: bool = True
    shift: int = 0
    pause_after: int = 0
    _gone_on: threading.Event = field(default_factory=threading.Event)

    def go_on(self) -> None:
        """No answer pauses any more."""
        self.pause_after = 0
        self._gone_on.set()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.answer(self)

            def log_message(self, *_: object) -> None:
                return

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        body = self.files.get(request.path)
        if body is None:
            request.send_error(500 if request.path == "/500" else 404)
            return
        mark = f'"{hashlib.sha256(body).hexdigest()}"'
        start = 0
        if asked and self.has_ranges and request.headers.get("If-Range") == mark:
            found = re.fullmatch(r"bytes=(\d+)-", asked)
            assert found
            start = int(found[1]) + self.shift
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            request.send_response(200)
        if self.has_marks:
            request.send_header("ETag", mark)
        if self.has_length:
            request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        end = start + self.break_after.pop(0) if self.break_after else len(body)
        if self.pause_after:
            request.wfile.write(body[start : start + self.pause_after])
            self._gone_on.wait(120)
            return
        request.wfile.write(body[start:end])
        request.close_connection = True


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed while they listen are what the tests are about."""


@pytest.fixture
def file_server() -> Iterator[Callable[[dict[str, bytes]], FileServer]]:
    """Starts servers that end with the test."""
    started: list[ThreadingHTTPServer] = []

    def start(files: dict[str, bytes]) -> FileServer:
        served = FileServer(files)
        server = _Server(("127.0.0.1", 0), served.handler())
        started.append(server)
        served.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return served

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def least_room() -> Iterator[None]:
    """Files of more than a kilobyte cannot be written, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def free_port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return free_port
