# SPDX-License-Identifier: Apache-2.0
"""The server against what no server can exceed, and against a detector behind Flask, as most samples serve one.

Detectors (models.py) answer JPEGs of three sizes (photographs.py). The sides take turns in rounds, each kept busy
by two clients for each core that serves; ratios are medians over rounds, of the rate by the clock and of CPU seconds of
all of a side's processes. All sides of a detector run at once, and but one of them works.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from tests.benchmarks.ratio import Row
from tests.benchmarks.serving import sides
from tests.benchmarks.serving.cores import Cores
from tests.benchmarks.serving.models import FEW, FPNLITE, MODELS, Model
from tests.benchmarks.serving.photographs import SIZES, photographs
from tests.benchmarks.serving.sides import LeftOutError, Measured, Side
from tests.benchmarks.serving.targets import at_least

SECONDS = 9.0
"""Of each side, model and size, all rounds together."""
ROUNDS = 3
AT_LEAST = 3
"""Answers of a round, however long they take."""
RATE_TARGETS = {(model.name, "640x640", "openvino"): 0.95 for model in (FPNLITE, FEW)}
CPU_TARGETS = {
    (model.name, size, "openvino"): times
    for model in (FPNLITE, FEW)
    for size, times in (("640x640", 3.0), ("4000x3000", 3.5))
}

Rounds = dict[str, list[Measured]]
"""What each side did, by its name."""


def run(seconds: float = SECONDS, only: str = "") -> list[Row]:
    """All ratios.

    Args:
        seconds: For each side, model and size of picture.
        only: Where given: of `MODEL at SIZE`, what the cases to run contain.
    """
    cores, rows = Cores.shared_out(), []
    print(f"serving: {cores}", file=sys.stderr)
    for model in MODELS:
        sizes = [size for size in SIZES if only in f"{model.name} at {size}"]
        if sizes:
            with tempfile.TemporaryDirectory(prefix="serving-") as folder:
                rows += _rows_of_model(model, sizes, Path(folder), cores, seconds)
    return rows


def _rows_of_model(model: Model, sizes: list[str], root: Path, cores: Cores, seconds: float) -> list[Row]:
    with ExitStack() as opened:
        try:
            sides.export(model.name, root)
        except LeftOutError as reason:
            _say(reason)
            return []
        running = {name: side for name, start in _sides(root, cores).items() if (side := _started(opened, start))}
        rows = []
        for size in sizes:
            print(f"serving: {model.name} at {size}", file=sys.stderr)
            found = _measure(running, photographs(size), seconds)
            rows += _rows(model.name, size, found)
        return rows


def _sides(root: Path, cores: Cores) -> dict[str, AbstractContextManager[Side]]:
    ours = {runtime: sides.our_server(root, runtime, cores) for runtime in sides.RUNTIMES}
    return {**ours, "ceiling": sides.ceiling(root, cores), "flask": sides.flask_sample(root, cores)}


def _started(opened: ExitStack, side: AbstractContextManager[Side]) -> Side | None:
    try:
        return opened.enter_context(side)
    except LeftOutError as reason:
        _say(reason)
        return None


def _measure(running: dict[str, Side], bodies: list[bytes], seconds: float) -> Rounds:
    """The sides in turn; what each does first does not count."""
    found: Rounds = {}
    for number in range(ROUNDS + 1):
        for name, side in running.items():
            try:
                measured = side.measure(bodies, seconds / ROUNDS if number else 0.0, AT_LEAST)
            except LeftOutError as reason:
                _say(LeftOutError(f"{name}: {reason}"))
                continue
            if number:
                found.setdefault(name, []).append(measured)
    return {name: rounds for name, rounds in found.items() if len(rounds) == ROUNDS}


def _rows(model: str, size: str, found: Rounds) -> list[Row]:
    rows = []
    for runtime in sides.RUNTIMES:
        what, case = f"{model} at {size}: our server on {runtime}", (model, size, runtime)
        if runtime in found and "ceiling" in found:
            rate = _median(lambda ours, other: ours.rate / other.rate, found[runtime], found["ceiling"])
            of = f"of its rate; {_said(RATE_TARGETS.get(case), rate)}{_both(found[runtime], found['ceiling'])}"
            rows.append(Row(what, "decoding and OpenVINO alone", rate, of))
        if runtime in found and "flask" in found:
            cpu = _median(lambda ours, other: other.cpu / ours.cpu, found[runtime], found["flask"])
            times = f"times less CPU; {_said(CPU_TARGETS.get(case), cpu)}{_both(found[runtime], found['flask'])}"
            rows.append(Row(what, "Flask, TensorFlow and Pillow", cpu, times))
    return rows


def _said(target: float | None, value: float) -> str:
    return f"{at_least(value, target)}; " if target else ""


def _both(ours: list[Measured], other: list[Measured]) -> str:
    rates = " and ".join(f"{statistics.median(each.rate for each in side):.1f}" for side in (ours, other))
    cpu = " and ".join(f"{1000 * statistics.median(each.cpu for each in side):.1f}" for side in (ours, other))
    return f"{rates} images a second, {cpu} ms of CPU an image"


def _median(of: Callable[[Measured, Measured], float], ours: list[Measured], other: list[Measured]) -> float:
    return statistics.median(of(*pair) for pair in zip(ours, other, strict=True))


def _say(reason: LeftOutError) -> None:
    print(f"serving: left out: {reason}", file=sys.stderr)
