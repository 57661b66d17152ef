# SPDX-License-Identifier: Apache-2.0
"""Child processes end when they are told to, and when the cloud ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from localcloud.processes import KILLED, Process, cpu_seconds

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
POLITE = """
import signal, sys, time
def end(*_):
    print("ended politely", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(60)
"""


def start(tmp_path: Path, code: str) -> tuple[Process, Path]:
    log = tmp_path / "log.txt"
    return Process([sys.executable, "-c", code], tmp_path, {"ONLY": "this"}, log), log


def wait_for(log: Path, text: str) -> None:
    for _ in range(200):
        if log.exists() and text in log.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"{text!r} never came: {log.read_text()}")


def test_nothing_of_the_callers_environment_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "x")
    process, log = start(tmp_path, "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))")
    assert process.wait(20) == 0
    assert log.read_text() == "['ONLY']\n"


def test_the_exit_code_is_the_commands(tmp_path: Path) -> None:
    process, _ = start(tmp_path, "import sys; sys.exit(7)")
    assert process.wait(20) == 7
    assert not process.running


def test_the_cpu_seconds_are_the_commands_and_its_childrens(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    process, _ = start(tmp_path, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); {burn}")
    assert cpu_seconds(tmp_path) == 0
    assert process.wait(60) == 0
    assert 1.0 <= cpu_seconds(tmp_path) < 3.0


def test_the_exit_code_is_the_commands_where_its_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    process, log = start(tmp_path / "job", "import os, shutil, sys; shutil.rmtree(os.getcwd()); sys.exit(7)")
    assert process.wait(20) == 7
    assert not log.parent.exists()


def test_sigterm_comes_first_and_lets_the_command_end(tmp_path: Path) -> None:
    process, log = start(tmp_path, POLITE)
    wait_for(log, "up")
    assert process.stop(grace=20) == 3
    assert "ended politely" in log.read_text()


def test_sigkill_follows_when_the_command_does_not_end(tmp_path: Path) -> None:
    process, log = start(tmp_path, STUBBORN)
    wait_for(log, "up")
    assert process.stop(grace=0.3) == KILLED


def test_a_missing_program_is_told_in_the_log(tmp_path: Path) -> None:
    process = Process(["/no/such/program"], tmp_path, {}, tmp_path / "log.txt")
    assert process.wait(20) == 127
    assert "/no/such/program cannot be started" in (tmp_path / "log.txt").read_text()


def test_what_a_command_left_running_ends_with_it(tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    process, log = start(tmp_path, code)
    assert process.wait(20) == 0
    assert _gone(int(log.read_text()))


def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
                import sys, time
                from pathlib import Path
                from localcloud.processes import Process
                child = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
                Process(child, Path({str(tmp_path)!r}), {{}}, Path({str(tmp_path / "log.txt")!r}))
                time.sleep(60)
            """),
        ],
        cwd=Path(__file__).parents[2],
    )
    log = tmp_path / "log.txt"
    wait_for(log, "\n")
    child = int(log.read_text())
    assert psutil.pid_exists(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert _gone(child)


def test_a_command_whose_supervisor_is_killed_ends(tmp_path: Path) -> None:
    process, log = start(tmp_path, "import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(60)")
    wait_for(log, "\n")
    child, supervisor = map(int, log.read_text().split())
    os.kill(supervisor, signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    assert _gone(child)


def _gone(pid: int) -> bool:
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False
