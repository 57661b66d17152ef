# SPDX-License-Identifier: Apache-2.0
"""What the Lambda functions' tests share: a moto server, and a way to run an asset as the platform runs it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

REGION = "us-east-1"
# Of the server's answers that list a bucket, instead of S3's thousand, which take seconds to fill.
PAGE = 40
ASSETS = Path(__file__).resolve().parents[2] / "infra"

# What Lambda's Python brings besides the standard library, and what botocore takes where it happens to be.
PLATFORM = {"_distutils_hack", "boto3", "botocore", "certifi", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}
RUN = f"""
import importlib, json, sys
asset, event = sys.argv[1], json.load(sys.stdin)
sys.path.insert(0, asset)

class Context:
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:" + asset.rpartition("/")[2]

    def get_remaining_time_in_millis(self):
        return 300_000

answer = importlib.import_module("index").handler(event, Context())
sys.stdout.flush()
foreign = set()
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None) or ""
    if "site-packages" in file:
        foreign.add(file.split("site-packages/")[1].split("/")[0].removesuffix(".py"))
    elif file.startswith({str(ASSETS.parent)!r}) and not file.startswith(asset):
        foreign.add(file)
foreign -= {PLATFORM!r}
foreign = {{name for name in foreign if not name.startswith(("_virtualenv", "_editable", "__editable"))}}
assert not foreign, f"the asset imports what Lambda has not: {{sorted(foreign)}}"
print("answer=" + json.dumps(answer))
"""


@dataclass(frozen=True)
class Cloud:
    """A moto server on a loopback port."""

    url: str

    def client(self, service: str) -> Any:
        """Return a client of the server."""
        return boto3.client(service, **self._where())  # type: ignore[call-overload]

    def resource(self, service: str) -> Any:
        """Return a resource of the server."""
        return boto3.resource(service, **self._where())  # type: ignore[call-overload]

    def environment(self) -> dict[str, str]:
        """Return the environment in which boto3 finds the server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def _where(self) -> dict[str, str]:
        return {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, server)
        yield Cloud(url)
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "the moto server ended"
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the moto server did not come up")


@dataclass(frozen=True)
class Run:
    """What one invocation left: its answer, its log lines, and the error that it ended with."""

    answer: Any
    log: list[dict[str, Any]]
    error: str


Invoke = Callable[..., Run]


@pytest.fixture
def invoke(cloud: Cloud, tmp_path: Path) -> Invoke:
    """Run a function's asset in a process of its own, isolated, with only boto3 beside it."""
    return invoking(cloud, tmp_path)


def invoking(cloud: Cloud, folder: Path) -> Invoke:
    """What `invoke` does, in a folder, against a cloud."""

    def run(asset: str | Path, event: dict[str, Any], **environment: str) -> Run:
        process = subprocess.run(
            [sys.executable, "-I", "-c", RUN, str(ASSETS / asset)],
            input=json.dumps(event),
            env={"PATH": os.environ["PATH"], **cloud.environment(), **environment},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        lines = process.stdout.splitlines()
        log = [json.loads(line) for line in lines if line.startswith("{")]
        answers = [json.loads(line.removeprefix("answer=")) for line in lines if line.startswith("answer=")]
        if process.returncode == 0:
            return Run(answers[0], log, "")
        return Run(None, log, process.stderr)

    return run


@dataclass(frozen=True)
class Responses:
    """A place where custom resources answer CloudFormation.

    Attributes:
        url: The presigned URL's stand-in.
        received: The answers, parsed.
    """

    url: str
    received: list[dict[str, Any]]


@pytest.fixture
def responses() -> Iterator[Responses]:
    received: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            # S3 refuses a presigned PUT whose content type differs from the signed one, which is empty.
            assert self.headers.get("Content-Type", "") == ""
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield Responses(f"http://127.0.0.1:{server.server_port}/answer?signature=1", received)
    server.shutdown()
    server.server_close()
