# SPDX-License-Identifier: Apache-2.0
"""What is compared: our server on each runtime, the ceiling without a server, and a Flask sample."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import psutil

from inference_src.errors import MeasurementError
from inference_src.server_process import running_server, wait_until_ready
from tests.benchmarks.serving.client import BUSY, Client, closed_loop, request
from tests.benchmarks.serving.cores import Cores, cpu_seconds, listener, pinned
from tests.benchmarks.serving.photographs import forever

CHECKOUT = Path(__file__).resolve().parents[3]
RUNTIMES = {"openvino": "openvino", "tensorflow": "tensorflow"}
"""Runtimes of our server, and the library without which one is left out."""
SAMPLE = Path(__file__).with_name("flask_sample")


class LeftOutError(Exception):
    """A side that cannot be measured here; the sentence says why."""


@dataclass(frozen=True)
class Measured:
    """What one side did in one round: images a second, and CPU seconds of all its processes for each."""

    rate: float
    cpu: float


class Side(Protocol):
    """Something that detects objects in JPEGs."""

    def measure(self, bodies: list[bytes], seconds: float, at_least: int) -> Measured:
        """Keep it busy for some seconds, and until it has answered `at_least`."""


@dataclass(frozen=True)
class OverHttp:
    """A server on a port of this machine: kept busy by two clients for each of its cores."""

    port: int
    process: psutil.Process
    cores: Cores

    def measure(self, bodies: list[bytes], seconds: float, at_least: int) -> Measured:
        """As `Side` says; raises LeftOutError where it answers other than 200."""
        requests = forever([request(body) for body in bodies])

        async def load() -> Measured:
            client, cpu, began = Client(self.port), cpu_seconds(self.process), time.monotonic()
            done = await closed_loop(client, requests, 2 * self.cores.serving, seconds, at_least)
            elapsed, used = time.monotonic() - began, cpu_seconds(self.process) - cpu
            client.close()
            answered = sum(exchange.status == 200 for exchange in done)
            accepted = (200, BUSY) if answered else (200,)
            if wrong := [exchange for exchange in done if exchange.status not in accepted]:
                told = wrong[0].body[:200].decode(errors="replace")
                raise LeftOutError(f"{len(wrong)} of {len(done)} answers are not 200 but {wrong[0].status}: {told}")
            return Measured(answered / elapsed, used / answered)

        with pinned(self.cores.clients):
            return asyncio.run(load())


@dataclass(frozen=True)
class Ceiling:
    """The program in ceiling.py."""

    process: subprocess.Popen[str]
    folder: Path

    def measure(self, bodies: list[bytes], seconds: float, at_least: int) -> Measured:
        """As `Side` says."""
        file = self.folder / "bodies.pickle"
        file.write_bytes(pickle.dumps(bodies))
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{file} {seconds} {at_least}\n")
        self.process.stdin.flush()
        images, elapsed, cpu = json.loads(self.process.stdout.readline())
        return Measured(images / elapsed, cpu / images)


def export(name: str, root: Path) -> None:
    """Write a model of models.py into `root`/model and `root`/sample, in a process of its own.

    Raises:
        LeftOutError: It cannot be made here.
    """
    command = [sys.executable, "-m", "tests.benchmarks.serving.models", name, str(root)]
    root.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LeftOutError(f"{name}: {_last_line(done.stderr)}")


@contextmanager
def our_server(root: Path, runtime: str, cores: Cores) -> Iterator[OverHttp]:
    """Serve `root`/model with a runtime on the server's cores, until the block ends."""
    if runtime not in RUNTIMES or not find_spec(RUNTIMES[runtime]):
        raise LeftOutError(f"our server on {runtime}: this environment has no {runtime}")
    with ExitStack() as opened:
        try:
            with pinned(cores.server):
                environment = {"MAPGATE_RUNTIME": runtime, "MAPGATE_PRECISION": "f32"}
                server = opened.enter_context(running_server(root, environment))
        except MeasurementError as error:
            raise LeftOutError(f"our server on {runtime}: {error}") from error
        yield OverHttp(server.port, listener(server.port), cores)


@contextmanager
def ceiling(root: Path, cores: Cores) -> Iterator[Ceiling]:
    """Load `root`/model's OpenVINO file on the server's cores, until the block ends."""
    model = root / "model" / "runtimes" / "openvino" / "model.xml"
    with pinned(cores.server), (root / "ceiling.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.serving.ceiling", str(model)],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout
        if process.stdout.readline().strip() != "ready":
            raise LeftOutError(f"the ceiling: {_last_line((root / 'ceiling.log').read_text())}")
        yield Ceiling(process, root)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def flask_sample(root: Path, cores: Cores) -> Iterator[OverHttp]:
    """Serve `root`/sample by gunicorn with a worker for each of the server's cores, until the block ends.

    Flask and gunicorn are installed beside, into a folder of their own, in the versions of requirements.txt; TensorFlow
    and Pillow are this environment's.
    """
    if not find_spec("tensorflow"):
        raise LeftOutError("the Flask sample: this environment has no tensorflow")
    packages = _install(root / "packages")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    workers, log = str(cores.serving), root / "flask.log"
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--bind",
        f"127.0.0.1:{port}",
        "--workers",
        workers,
        "--timeout",
        "300",
    ]
    environment = {"PYTHONPATH": f"{packages}{os.pathsep}{SAMPLE}", "MODEL": str(root / "sample")}
    with pinned(cores.server), log.open("w") as stream:
        process = subprocess.Popen(
            [*command, "app:app"], cwd=root, env={**os.environ, **environment}, stdout=stream, stderr=stream
        )
    try:
        try:
            wait_until_ready(process, port, log)
        except MeasurementError as error:
            raise LeftOutError(f"the Flask sample: {error}") from error
        yield OverHttp(port, psutil.Process(process.pid), cores)
    finally:
        process.terminate()
        process.wait()


def _install(folder: Path) -> Path:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if not uv:
        raise LeftOutError("the Flask sample: uv, which installs Flask, is not there; run make setup")
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder), "--no-deps"]
    command += ["--requirements", str(SAMPLE / "requirements.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LeftOutError(f"the Flask sample: Flask cannot be installed ({_last_line(done.stderr)})")
    return folder


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
