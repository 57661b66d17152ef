# SPDX-License-Identifier: Apache-2.0
"""How long training takes until it is good, ours against the TF Object Detection API: a quarter of an hour in all.

The demo's drawn scenes are learnt from scratch until AP50 on the validation split reaches 0.9: by us with our own
config and the progressive resizing that is its default, by the API with our own config, with the zoo's settings (its
schedule scaled to the number of steps allowed, its batch to eight images), and with the zoo's and batch norms that
adapt as fast as ours, all at one input size. What counts is the time of the training steps, input and tracing
included, without evaluations; a run that does not get there counts with all its steps, and one of the API's ends when
it has taken longer than its quickest. `OD_API_PYTHON` names the API's interpreter, as `od_api` says.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.od_api.scenes import Scenes
from tests.benchmarks.od_api.sides import VARIABLE, Side
from tests.benchmarks.ratio import Row
from training_src.models.config.pipeline import load_bundled, with_num_steps
from training_src.models.zoo import zoo_model

# Of steps: as many as our config has, and as many as the zoo's are allowed.
GOAL, STEPS, ZOO_STEPS, INTERVAL = 0.9, 1000, 1600, 50
SIZE, CLASSES, THREADS, SEED = 224, 4, 2, 17
OURS, ZOO = "ssd_mobilenet_v2_fpnlite_160x160", "ssd_mobilenet_v2_fpnlite_320x320"
# Of batch norm: the zoo's, and ours.
SLOW, FAST = "decay: 0.997", "decay: 0.9"


@dataclass(frozen=True)
class Run:
    """How a training went.

    Attributes:
        name: Which one.
        steps: Up to the first evaluation that reached the goal, or all of them.
        seconds: Wall-clock time of these steps, the first one's tracing included.
        cpu_seconds: Of all threads.
        best: The best AP50.
    """

    name: str
    steps: int
    seconds: float
    cpu_seconds: float
    best: float

    @property
    def good(self) -> bool:
        """Whether it reached the goal."""
        return self.best >= GOAL

    def __str__(self) -> str:
        step = 1000 * self.cpu_seconds / self.steps
        missed = "" if self.good else ", goal missed"
        return f"{self.steps} steps, {self.seconds:.0f} s, {step:.0f} CPU ms a step{missed}"


def run() -> list[Row]:
    """Ours against each of the API's; none where the API's interpreter is not named, or ours misses the goal."""
    if VARIABLE not in os.environ:
        print(f"od_api_quality: left out, as {VARIABLE} names no interpreter that has the API", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        scenes = Scenes.draw(root / "ml", train=800, validation=60, test=120)
        own = scenes.config(with_num_steps(load_bundled(OURS, CLASSES), STEPS), root / "own.config", size=SIZE)
        zoo = scenes.config(
            with_num_steps(load_bundled(ZOO, CLASSES, zoos_schedule=True), ZOO_STEPS), root / "zoo.config", size=SIZE
        )
        fast = root / "fast.config"
        text = zoo.read_text()
        assert SLOW in text
        fast.write_text(text.replace(SLOW, FAST))
        part = zoo_model(OURS).progressive_resizing
        ours = _train(sys.executable, "ours", own, "our own config", STEPS, progressive_resizing=part)
        if not ours.good:
            raise RuntimeError(f"Ours did not learn: {ours}")
        others: list[Run] = []
        for config, name, most_steps in (
            (own, "our own config", STEPS),
            (fast, "zoo, batch norm 0.9", ZOO_STEPS),
            (zoo, "zoo", ZOO_STEPS),
        ):
            quickest = min((other.seconds for other in others if other.good), default=math.inf)
            python = os.environ[VARIABLE]
            others.append(_train(python, "reference", config, name, most_steps, most_seconds=quickest))
    return [row for other in others for row in _rows(ours, other)]


def _train(
    python: str,
    module: str,
    config: Path,
    name: str,
    most_steps: int,
    most_seconds: float = math.inf,
    **more: float,
) -> Run:
    log = config.with_suffix(f".{module}.log")
    side = Side(python, module, log)
    steps, seconds, cpu_seconds, best = 0, 0.0, 0.0, 0.0
    try:
        side.prepare("training", config=str(config), threads=THREADS, seed=SEED, **more)
        while steps < most_steps and seconds < most_seconds and best < GOAL:
            times = side.do("step", INTERVAL)
            steps += INTERVAL
            seconds += times.seconds * INTERVAL
            cpu_seconds += times.cpu_seconds * INTERVAL
            found = side.do("evaluate").value
            best = max(best, found)
            print(f"{module}, {name}: step {steps}, {seconds:.0f} s, AP50 {found:.3f}", file=sys.stderr, flush=True)
    finally:
        side.close()
    return Run(name, steps, seconds, cpu_seconds, best)


def _rows(ours: Run, other: Run) -> list[Row]:
    what, against = f"training from scratch until AP50 is {GOAL}", f"the API, {other.name}"
    return [
        Row(what, against, ours.seconds / other.seconds, f"times its duration (ours: {ours}; the API's: {other})"),
        Row(what, against, ours.cpu_seconds / other.cpu_seconds, "times its CPU seconds"),
    ]
