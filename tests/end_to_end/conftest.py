# SPDX-License-Identifier: Apache-2.0
"""One emulated cloud for all the end-to-end tests, and the commands that a user would type."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from localcloud import cloud
from localcloud.home import Home, private_directory, write_json
from pipelines import cli
from pipelines.client.connection import Connection
from tests.conftest import OpenImages

CHECKOUT = Path(__file__).resolve().parents[2]
PORT = 14577


@dataclass(frozen=True)
class User:
    """Somebody at a terminal, with a `.mapgate` of their own."""

    home: Path

    def mapgate(self, *arguments: str, seconds: int = 600) -> subprocess.CompletedProcess[str]:
        """Type a `mapgate` command and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", "pipelines.cli", *arguments],
            cwd=CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Type a `mapgate` command and go on; the process leads a group of its own."""
        command = [sys.executable, "-m", "pipelines.cli", *arguments]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            command, cwd=CHECKOUT, env=self.environment, stdout=quiet, stderr=quiet, start_new_session=True
        )

    def told(self, *arguments: str) -> Any:
        """What a command prints with `--json`, typed within this process: one of its own adds half a second."""
        without: dict[str, str | None] = {name: None for name in os.environ if name.startswith("AWS_")}
        result = CliRunner().invoke(cli.app, [*arguments, "--json"], env=without | self.environment)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment without AWS's variables."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        return {**kept, "MAPGATE_HOME": str(self.home), "COLUMNS": "200"}

    @property
    def summary(self) -> dict[str, Any]:
        """What the last telling of the demo left."""
        read: dict[str, Any] = json.loads((self.home / "demo" / "summary.json").read_text())
        return read

    @property
    def connection(self) -> Connection:
        """The running cloud, for boto3 calls."""
        running = cloud.status(self.home)
        assert running is not None, "the emulated cloud is not running"
        return _connection(running.endpoint_url)

    @property
    def cloud_pid(self) -> int:
        """The process of the emulated cloud."""
        running = cloud.status(self.home)
        assert running is not None
        return running.pid


@functools.cache
def _connection(endpoint_url: str) -> Connection:
    """One for all questions: to make a client takes longer than a hundred of them."""
    return Connection(endpoint_url=endpoint_url)


@pytest.fixture(scope="session")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose cloud is taken down at the end, whatever happened."""
    someone = User(tmp_path_factory.mktemp("user") / ".mapgate")
    # The port of the last start stays: one that no other test's cloud takes while this one is killed.
    private_directory(someone.home)
    write_json(Home(someone.home).information, {"port": PORT})
    yield someone
    cloud.down(someone.home)


@pytest.fixture(scope="session")
def training(user: User, request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The story's options: fewer steps than the demo's own, and enough for its gate, from the real weights.

    To compile the loss takes longer than it saves in so few; the story that does not pass leaves that at its default.
    """
    settings = ("--training-settings", "validation_interval=60 xla=off")
    try:
        found: OpenImages = request.getfixturevalue("open_images")
    except pytest.skip.Exception:
        return settings  # from scratch, for as long as the demo says
    shutil.copytree(found.folder, user.home / "zoo" / found.folder.name, dirs_exist_ok=True)
    return ("--training-steps", "120", *settings)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Another user, whose cloud is a module's own."""
    someone = User(tmp_path_factory.mktemp("newcomer") / ".mapgate")
    yield someone
    cloud.down(someone.home)
