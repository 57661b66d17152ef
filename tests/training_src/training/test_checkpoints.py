# SPDX-License-Identifier: Apache-2.0
"""A training's state on disk."""

import re
from pathlib import Path

import numpy as np
import pytest

from training_src.errors import TrainingError
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import CONFIGS, PipelineConfig, PipelineDescription
from training_src.text_format import parse
from training_src.training.checkpoints import CheckpointStore, TrainingProgress, fingerprint

SAME = {"config": "c", "hyperparameters": {"seed": "17", "num_train_steps": "0"}, "dataset": "d", "initial": ""}


@pytest.mark.parametrize(
    "change",
    [
        {"config": "other"},
        {"hyperparameters": {"seed": "18", "num_train_steps": "0"}},
        {"dataset": "other"},
        {"initial": "other"},
    ],
)
def test_whatever_changes_the_training_changes_its_fingerprint(change: dict[str, object]) -> None:
    mark = fingerprint(**SAME)  # type: ignore[arg-type]
    assert len(mark) == 16
    assert fingerprint(**SAME) == mark  # type: ignore[arg-type]
    assert fingerprint(**{**SAME, **change}) != mark  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["num_train_steps", "epochs", "early_stopping_patience", "early_stopping_min_delta"])
def test_how_long_a_training_goes_on_changes_nothing_about_its_checkpoints(name: str) -> None:
    longer = {**SAME, "hyperparameters": {"seed": "17", name: "1000"}}
    assert fingerprint(**longer) == fingerprint(**SAME)  # type: ignore[arg-type]


def config_of(**fields: str) -> PipelineDescription:
    """A pipeline.config of 12 steps whose fields have other values."""
    text = (CONFIGS / "ssd_mobilenet_v2_fpnlite_160x160.config").read_text()
    for name, value in {"num_steps": "12", "total_steps": "12", "warmup_steps": "2", **fields}.items():
        text = re.sub(rf"\b{name}: [\w.+-]+", f"{name}: {value}", text)
    message = parse(text + fields.get("beside", ""))
    return PipelineDescription(decode(PipelineConfig, message), message, "own.config")


def test_a_config_of_more_steps_is_the_same_training() -> None:
    digest = config_of().digest()
    assert config_of(num_steps="24", total_steps="24").digest() == digest
    assert config_of(beside="\ngraph_rewriter { quantization { } }").digest() == digest
    # A decay that does not end with the training is another schedule, and so are another warm-up and another rate.
    for other in ({"num_steps": "24"}, {"warmup_steps": "3"}, {"learning_rate_base": "0.05"}):
        assert config_of(**other).digest() != digest
    assert config_of(num_steps="24", total_steps="99").digest() == config_of(total_steps="99").digest()


def state(value: float) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    return {"a/b": np.full(3, value, np.float32)}


def test_the_newest_state_comes_back_and_two_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "mark", 30)
    assert store.latest() is None
    for step in (10, 20, 30):
        store.save(state(step), TrainingProgress(step=step, history=[{"step": step, "loss": 1.5}]))
    latest = store.latest()
    assert latest is not None
    np.testing.assert_array_equal(latest[0]["a/b"], [30, 30, 30])
    assert latest[1] == TrainingProgress(step=30, history=[{"step": 30, "loss": 1.5}])
    assert sorted(path.name for path in (tmp_path / "mark").iterdir()) == ["step-00000020", "step-00000030"]


def test_a_damaged_state_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = CheckpointStore(tmp_path, 30)
    for step in (10, 20):
        store.save(state(step), TrainingProgress(step=step))
    (tmp_path / "step-00000020" / "state.data-00000-of-00001").write_bytes(b"")
    latest = store.latest()
    assert latest is not None
    assert latest[1].step == 10
    assert "step-00000020 cannot be read and is passed over" in capsys.readouterr().out


def test_half_written_states_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "partial-step-00000010").mkdir()
    assert CheckpointStore(tmp_path, 30).latest() is None


def test_a_state_that_is_not_finite_is_refused_and_the_last_good_one_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, 30)
    store.save(state(1), TrainingProgress(step=10))
    with pytest.raises(TrainingError, match=r"Step 20: a/b is no longer finite; .* The checkpoint of step 10 is kept"):
        store.save(state(np.inf), TrainingProgress(step=20))
    latest = store.latest()
    assert latest is not None
    assert latest[1].step == 10


def test_only_the_best_of_its_step_comes_back(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, 30)
    store.save_best(state(1), TrainingProgress(step=10))
    store.save_best(state(2), TrainingProgress(step=20))
    assert store.best(10) is None
    best = store.best(20)
    assert best is not None
    np.testing.assert_array_equal(best["a/b"], [2, 2, 2])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_after_the_export_the_last_full_checkpoint_and_its_best_weights_stay(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, 30)
    store.save_best(state(1), TrainingProgress(step=20))
    for step in (20, 30):
        store.save(state(step), TrainingProgress(step=step, best_step=20))
    (tmp_path / "partial-step-00000010").mkdir()
    store.keep_last()
    assert names(tmp_path) == ["best-00000020", "step-00000030"]
    latest = CheckpointStore(tmp_path, 40).latest()
    assert latest is not None
    assert latest[1].step == 30


def test_a_shorter_training_begins_anew_and_leaves_the_longer_ones_checkpoints(tmp_path: Path) -> None:
    longer = CheckpointStore(tmp_path, 30)
    longer.save_best(state(1), TrainingProgress(step=30))
    longer.save(state(30), TrainingProgress(step=30, best_step=30))
    shorter = CheckpointStore(tmp_path, 15)
    assert shorter.latest() is None
    for step in (5, 10, 15):
        shorter.save(state(step), TrainingProgress(step=step))
        shorter.save_best(state(step), TrainingProgress(step=step))
    assert names(tmp_path) == ["best-00000015", "best-00000030", "step-00000010", "step-00000015", "step-00000030"]
    shorter.keep_last()
    assert names(tmp_path) == ["best-00000030", "step-00000030"]
