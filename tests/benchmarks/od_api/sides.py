# SPDX-License-Identifier: Apache-2.0
"""Two processes that do the same work, ours and the TF Object Detection API's, asked in turn."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.ratio import Row

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]
# The interpreter that has the API installed.
VARIABLE = "OD_API_PYTHON"


@dataclass(frozen=True)
class Times:
    """What one piece of work took, and what it returned."""

    seconds: float
    cpu_seconds: float
    value: Any = None


@dataclass(frozen=True)
class Measured:
    """Turns of both sides, taken alternately."""

    ours: Sequence[Times]
    reference: Sequence[Times]

    def rows(self, what: str, against: str, *, speed: bool = False, count: int = 1) -> list[Row]:
        """The ratios of the medians, of wall-clock and of CPU seconds.

        Args:
            what: Ours.
            against: The other.
            speed: Whether ratios are of speeds, else of durations.
            count: How many things one piece of work does, for the figures in brackets.
        """
        rows = []
        for name, label in (("seconds", "s"), ("cpu_seconds", "CPU s")):
            mine, theirs = (
                statistics.median(getattr(times, name) for times in side) / count
                for side in (self.ours, self.reference)
            )
            if speed:
                per = f"({1 / mine:.1f} and {1 / theirs:.1f} a {label})"
                rows.append(Row(what, against, theirs / mine, f"times as fast {per}"))
            else:
                per = f"({mine:.3f} and {theirs:.3f} {label})"
                rows.append(Row(what, against, mine / theirs, f"times its duration {per}"))
        return rows


class Side:
    """A worker process.

    Args:
        python: Its interpreter.
        module: `ours` or `reference`.
        log: Where what it prints goes.
    """

    def __init__(self, python: str, module: str, log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [python, str(FOLDER / "worker.py"), module],
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def prepare(self, task: str, **arguments: Any) -> None:
        """Make a task's works."""
        self._ask({"prepare": task, **arguments})

    def do(self, work: str, times: int = 1) -> Times:
        """Do one of them so many times; what one time took."""
        return Times(**self._ask({"do": work, "times": times}))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"A side ended at {request}:\n{self._log.read_text(errors='replace')[-4000:]}")
        result: dict[str, Any] = json.loads(answer)
        return result


@contextmanager
def both() -> Iterator[tuple[Side, Side]]:
    """Start ours and the reference; both are ended afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        sides: list[Side] = []
        try:
            for python, module in ((sys.executable, "ours"), (os.environ[VARIABLE], "reference")):
                sides.append(Side(python, module, Path(folder) / f"{module}.log"))
            yield sides[0], sides[1]
        finally:
            for side in sides:
                side.close()


def alternate(task: str, turns: Mapping[str, tuple[int, int, int]], **arguments: Any) -> dict[str, Measured]:
    """Let both sides prepare a task and then do its works in turn.

    Args:
        task: Its name.
        turns: For each of its works, in their order: how often it is done first without being counted, how many turns
            each side gets, and how often it is done in one.
        arguments: The task's.
    """
    measured = {}
    with both() as sides:
        for side in sides:
            side.prepare(task, **arguments)
        for work, (uncounted, rounds, times) in turns.items():
            for side in sides if uncounted else ():
                side.do(work, uncounted)
            pairs = [(sides[0].do(work, times), sides[1].do(work, times)) for _ in range(rounds)]
            measured[work] = Measured([mine for mine, _ in pairs], [theirs for _, theirs in pairs])
    return measured


def until(command: Sequence[str], marker: str, log: Path, **variables: str) -> Times:
    """From a process's start until it prints a line with `marker`; it is ended then."""
    began = time.perf_counter()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, env={**environment(), **variables}, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if marker in line:
            break
    seconds = time.perf_counter() - began
    # Popen's own kill may already collect the process, and with it what it used.
    os.kill(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.stdout.close()
    if marker not in said:
        wrong = said + log.read_text(errors="replace")
        raise RuntimeError(f"{command} ended with {status}, without {marker!r}:\n{wrong[-4000:]}")
    return Times(seconds, usage.ru_utime + usage.ru_stime)


def environment() -> dict[str, str]:
    """What both sides' processes see; the API's additions have no influence on ours, which has no tf-keras."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
