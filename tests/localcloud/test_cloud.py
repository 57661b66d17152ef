# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping the cloud: idempotent, tolerant of kills, honest about taken ports."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from localcloud import cloud


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Path]:
    """The directory of a cloud that any test may start, and find running."""
    directory = tmp_path_factory.mktemp("cloud") / "home"
    cloud.up(directory, free_port())
    yield directory
    cloud.down(directory)


def test_the_directory_is_private_and_the_server_on_loopback_only(home: Path) -> None:
    running = cloud.up(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "state").stat().st_mode) == 0o700
    addresses = {one.laddr.ip for one in psutil.Process(running.pid).net_connections() if one.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}
    with urllib.request.urlopen(f"{running.endpoint_url}/mapgate") as answer:
        assert answer.status == 200


def test_a_killed_cloud_leaves_no_status_and_starts_again_on_its_port(home: Path) -> None:
    first = cloud.up(home)
    os.kill(first.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(first.pid)], timeout=10)
    assert cloud.status(home) is None
    second = cloud.up(home)
    assert (second.port, second.pid != first.pid) == (first.port, True)


def test_up_is_idempotent_and_down_ends_the_process(home: Path) -> None:
    first = cloud.up(home)
    assert cloud.up(home) == first
    assert cloud.status(home) == first
    assert cloud.down(home)
    assert not psutil.pid_exists(first.pid)
    assert cloud.status(home) is None
    assert not cloud.down(home)


def test_a_port_of_another_program_is_named(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(cloud.CloudError, match=f"port {port} is taken by another program"):
            cloud.up(tmp_path, port)


def test_a_port_that_another_program_had_for_a_moment_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    is_free, port = cloud._is_free, free_port()
    monkeypatch.setattr(cloud, "DEFAULT_PORT", port)
    with socket.socket() as quicker:

        def seen(asked: int) -> bool:
            """Free, then taken by whoever is quicker, who is gone as soon as somebody looks."""
            if quicker.fileno() > 0 and not looked:
                looked.append(asked)
                quicker.bind(("127.0.0.1", asked))
                quicker.listen()
                return True
            quicker.close()
            return is_free(asked)

        looked: list[int] = []
        monkeypatch.setattr(cloud, "_is_free", seen)
        try:
            assert cloud.up(tmp_path).port == port
        finally:
            cloud.down(tmp_path)


def test_a_disk_without_room_is_named_where_a_server_could_not_even_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    monkeypatch.setattr(sys, "executable", "/bin/false")  # ends as a server does that cannot write its state
    with pytest.raises(cloud.CloudError, match=f"no space is left where {tmp_path} lies: make room"):
        cloud.up(tmp_path, free_port())


def test_a_cloud_whose_directory_was_removed_ends_and_does_not_come_back(home: Path) -> None:
    running = psutil.Process(cloud.up(home).pid)
    shutil.rmtree(home)
    _, alive = psutil.wait_procs([running], timeout=15)
    assert not alive
    assert not (home / "state").exists()
