# SPDX-License-Identifier: Apache-2.0
"""A training's batch: found on the first machine, kept on the next."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from training_src import train
from training_src.commands import estimate
from training_src.errors import ConfigurationError
from training_src.models.architectures import build_detector
from training_src.models.config.pipeline import load
from training_src.models.footprint import footprint
from training_src.models.training_memory import GIB, Memory

MakeJob = Callable[..., Path]
BegunWith = Callable[[int, Path], str]
pytestmark = pytest.mark.usefixtures("short_mobilenet", "unsimplified")


@pytest.fixture
def begun_with(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> BegunWith:
    """Begins a job on a machine with so much memory, up to its first step; returns all that it says."""

    def stop(*_: object) -> NoReturn:
        raise ConfigurationError("Enough.")

    def begin(memory: int, root: Path) -> str:
        monkeypatch.setattr(train, "device_memory", lambda: Memory(memory))
        monkeypatch.setattr(train, "train", stop)
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        monkeypatch.setenv("MAPGATE_ML_ROOT", str(root))
        assert train.main() == 2
        return capsys.readouterr().out + (root / "output" / "failure").read_text()

    return begin


def test_a_batch_found_on_one_machine_is_kept_on_the_next_or_refused(
    make_job: MakeJob, small_config: str, begun_with: BegunWith
) -> None:
    root = make_job(config=small_config, num_train_steps="1", settings="batch_size=auto xla=off")
    path = root.parent / "pipeline.config"
    path.write_text(small_config)
    model = load(path, 4).config.model
    least = footprint(build_detector(model), model).least_bytes_of(1, on_gpu=False)

    assert "overridden    batch of 2 -> 1; learning rate 0.1 -> 0.05 in proportion" in begun_with(least, root)
    (recorded,) = root.glob("checkpoints/*/batch_size.json")
    assert json.loads(recorded.read_text()) == {"batch_size": 1}
    assert "1 steps of batch 1, " in begun_with(64 * GIB, root)
    refused = begun_with(GIB, root)
    assert "the training began with a batch of 1, and keeps it; a batch of 1 needs at least" in refused
    assert "take an instance type with more memory" in refused


def test_a_batch_that_cannot_fit_is_refused_before_the_first_step(
    make_job: MakeJob, small_config: str, begun_with: BegunWith
) -> None:
    root = make_job(config=small_config, num_train_steps="1", settings="batch_size=100000")
    assert "a batch of 100000 needs at least" in begun_with(8 * GIB, root)
    assert not list(root.glob("checkpoints/*"))


def test_the_batch_of_a_bundled_architecture_is_the_one_that_was_announced(
    make_job: MakeJob, begun_with: BegunWith, capsys: pytest.CaptureFixture[str]
) -> None:
    name, memory = "ssd_mobilenet_v2_fpnlite_160x160", 3.51
    estimate.run(architecture=name, memory_gib=memory)
    announced = json.loads(capsys.readouterr().out)
    assert announced["batch_size"] < announced["configs_batch_size"]
    root = make_job(config=None, architecture=name)
    assert f"steps of batch {announced['batch_size']}, " in begun_with(int(memory * GIB), root)
