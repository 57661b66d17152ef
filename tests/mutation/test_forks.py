# SPDX-License-Identifier: Apache-2.0
"""Each run is of what stands there at its moment, and says how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FORKS = str(Path(__file__).with_name("forks.py"))
LONG_AGO = 1_700_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A module and its test, to be run there."""
    (tmp_path / "answer.py").write_text("VALUE = 1\n")
    os.utime(tmp_path / "answer.py", (LONG_AGO, LONG_AGO))
    test = "import answer\n\ndef test_value() -> None:\n    assert answer.VALUE == 1\n"
    (tmp_path / "test_answer.py").write_text(test)
    return tmp_path


def serve(folder: Path) -> subprocess.Popen[str]:
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_answer.py"]
    command = [sys.executable, "-P", FORKS, "serve", "socket", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def ask(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", FORKS, "ask", "socket"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_run_sees_what_stands_there_now(folder: Path) -> None:
    with serve(folder) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        assert ask(folder).returncode == 0
        (folder / "answer.py").write_text("VALUE = 2\n")
        failed = ask(folder)
        assert failed.returncode == 1
        assert "assert 2 == 1" in failed.stdout
        (folder / "answer.py").write_text("VALUE = 1\n")
        assert ask(folder).returncode == 0
        server.terminate()


def test_nothing_is_told_where_the_tests_fail_by_themselves(folder: Path) -> None:
    (folder / "answer.py").write_text("VALUE = 2\n")
    with serve(folder) as server:
        assert server.stdout is not None
        assert server.stdout.read() == ""
    assert server.returncode == 1
