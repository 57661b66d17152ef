# SPDX-License-Identifier: Apache-2.0
"""The long forms of the end-to-end tests: real data sets, and a story that is cut off at many points."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import User

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
Record = Callable[[str, str], None]


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_the_demo_passes_its_gate_with_the_scenes_that_it_draws(user: User, record: Record) -> None:
    result = user.mapgate("demo", seconds=3000)

    assert result.returncode == 0, result.stdout + result.stderr
    assert user.summary["gate_passed"] is True
    _record_summary(user, record, "drawn scenes", "make demo")


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_the_demo_takes_a_real_data_set(newcomer: User, tmp_path: Path, record: Record) -> None:
    """Of somebody whose production serves nothing yet: the demo's own detector has other classes."""
    told = newcomer.mapgate(
        "demo", "--data", str(_public("bccd")), "--training-settings", "quantize=true", seconds=3000
    )

    assert told.returncode == 0, told.stdout + told.stderr
    _record_summary(newcomer, record, "bccd", "mapgate demo --data ../shared/data/bccd")
    _run_on_the_edge(newcomer, tmp_path / "edge", record)


def _run_on_the_edge(user: User, folder: Path, record: Record) -> None:
    """Fetch what the execution that was told wrote for the edge, and find cells with the example."""
    fetched = user.mapgate("--local", "model", "edge", "1", "--output", str(folder))
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    for name, parity in json.loads((folder / "parity.json").read_text()).items():
        assert parity["passed"]
        record(f"bccd: mAP of {name}, of float32", f"{parity['map']:.4f}, {parity['map_float32']:.4f}")
    picture = sorted(_public("bccd").rglob("*.jpg"))[0]
    seen = subprocess.run(
        [sys.executable, "example.py", picture], cwd=folder, capture_output=True, text=True, check=True
    )
    assert seen.stdout.count("RBC 0.") > 3, seen.stdout


@pytest.mark.verify
def test_the_demo_refuses_a_data_set_that_is_too_small_to_be_judged(user: User) -> None:
    result = user.mapgate("demo", "--data", str(_public("raccoon")))

    assert result.returncode == 2, result.stdout + result.stderr
    assert "The test set has 18 images; 50 are required." in result.stderr


def _public(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not there")
    return DATA / name


def _record_summary(user: User, record: Record, name: str, command: str) -> None:
    summary = user.summary
    verdict = "passed" if summary["gate_passed"] else "not passed"
    record(f"{name}: mAP, `{command}`", f"{summary['mAP']:.3f}")
    record(f"{name}: mAP_50, gate {verdict}", f"{summary['mAP_50']:.3f}")
    record(f"{name}: seconds in all", f"{sum(summary['seconds'].values()):.0f}")


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_a_demo_that_is_killed_anywhere_ends_well(user: User, record: Record) -> None:
    draw, kills = random.Random(5), 8
    for kill in range(kills):
        running = user.begin("demo", "--training-steps", "20")
        time.sleep(draw.uniform(0.5, 45))
        if kill % 2:
            _kill_cloud(user)
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()

    result = user.mapgate("demo", "--training-steps", "20")

    assert result.returncode == 1, result.stdout + result.stderr
    assert "the gate let nothing through" in result.stderr
    record("demo killed at random moments, half the times with its cloud, then told to its end", f"{kills} kills")


def _kill_cloud(user: User) -> None:
    try:
        os.kill(user.cloud_pid, signal.SIGKILL)
    except AssertionError:
        return
