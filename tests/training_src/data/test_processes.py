# SPDX-License-Identifier: Apache-2.0
"""Work in several processes: its order, its end where a worker dies, and what a process holds before it forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training_src.data.processes import in_order
from training_src.errors import MapgateError


def _later_the_sooner(piece: int) -> int:
    time.sleep(0.05 if piece % 2 == 0 else 0)
    return piece * piece


def _killed_at_three(piece: int) -> int:
    if piece == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return piece


def test_results_come_in_the_order_of_the_pieces_whoever_is_faster() -> None:
    assert list(in_order(_later_the_sooner, range(20), 2)) == [piece * piece for piece in range(20)]


def test_killed_worker_is_one_sentence_and_not_a_wait() -> None:
    with pytest.raises(MapgateError, match="most likely for want of memory"):
        list(in_order(_killed_at_three, range(20), 2))


def test_preparation_neither_loads_tensorflow_nor_starts_a_thread_before_it_forks() -> None:
    program = (
        "import os, sys, training_src.prepare, training_src.data.collection; "
        "print(len(os.listdir('/proc/self/task')), 'tensorflow' in sys.modules)"
    )
    if not Path("/proc/self/task").is_dir():
        pytest.skip("the system does not list a process' threads")

    # This process has the setting already, for it has imported the package.
    fresh = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=fresh
    ).stdout

    assert printed.split() == ["1", "False"]
