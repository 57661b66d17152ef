# SPDX-License-Identifier: Apache-2.0
"""A server that is measured is a process of its own, which never outlives its block."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inference_src.errors import MeasurementError
from inference_src.server_process import running_server


def test_a_server_answers_until_its_block_ends(tmp_path: Path, model_dir: Path) -> None:
    (tmp_path / "model").symlink_to(model_dir)
    with running_server(tmp_path, {"MAPGATE_RUNTIME": "openvino"}) as server:
        assert server.load_seconds > 0
        assert server.ask(b"no image")[0] == 415
    assert server.resident_megabytes
    assert server.resident_megabytes > 20
    with pytest.raises(MeasurementError, match="the server stopped answering"):
        server.ask(b"no image")


def test_a_server_that_does_not_start_is_told_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"ended with 1: .*there is no model here"), running_server(tmp_path, {}):
        pytest.fail("nothing can be served")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nor_one_that_is_just_being_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class StoppedAtOnce(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(number)

    monkeypatch.setattr(subprocess, "Popen", StoppedAtOnce)
    before = signal.signal(number, lambda *_: sys.exit(1))
    try:
        with pytest.raises(SystemExit), running_server(tmp_path, {}):
            pytest.fail("the signal came too late")
    finally:
        signal.signal(number, before)
    (server,) = started
    assert server.returncode is not None
