# SPDX-License-Identifier: Apache-2.0
"""When a training ends, and which weights it leaves, told by validations whose results are given."""

import math
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from training_src.evaluation.coco import CocoMetrics, ConfusionMatrix
from training_src.models.architectures import build_detector
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import PipelineConfig
from training_src.models.detector import Detector
from training_src.text_format import parse
from training_src.training.checkpoints import CheckpointStore, TrainingProgress
from training_src.training.hyperparameters import Settings
from training_src.training.loop import InterruptedTrainingError, Plan, train
from training_src.training.progress_report import ProgressReport
from training_src.training.records import Records
from training_src.training.validation import Validation, ValidationResult


def noted(*values: float, least: float = 0.0) -> TrainingProgress:
    """The progress after a validation a step with these results."""
    progress = TrainingProgress()
    for value in values:
        progress.step += 1
        progress.note(value, value, least)
    return progress


@pytest.mark.parametrize(
    ("values", "best_step", "stale"),
    [
        ((0.1, 0.3, 0.2), 2, 1),
        ((0.1, 0.3, 0.3, 0.2), 3, 2),  # of equal ones the later, which is no improvement
        ((0.0, 0.0, 0.0), 3, 0),  # nothing was learnt yet
        ((0.2, 0.0, 0.0), 1, 2),
        ((-5.0, -4.0, -4.5), 2, 1),  # losses
        ((0.1, math.nan), 1, 1),
    ],
)
def test_the_best_of_equals_is_the_later_and_no_improvement(
    values: tuple[float, ...], best_step: int, stale: int
) -> None:
    progress = noted(*values)
    assert (progress.best_step, progress.best_value, progress.stale) == (best_step, values[best_step - 1], stale)
    assert progress.best_map == values[best_step - 1]


@pytest.mark.parametrize(
    ("values", "stale"),
    [
        ((0.30, 0.34, 0.35), 2),
        ((0.30, 0.34, 0.36), 0),  # by more than 0.05 above the last improvement, step by step
        ((0.30, 0.34, 0.36, 0.40), 1),
        ((0.30, 0.36), 0),
    ],
)
def test_a_little_more_is_kept_and_improves_once_it_adds_up(values: tuple[float, ...], stale: int) -> None:
    progress = noted(*values, least=0.05)
    assert (progress.best_step, progress.stale) == (len(values), stale)


@pytest.mark.parametrize("values", [[0.1 + 0.006 * step for step in range(8)], [-0.006 * step for step in range(8)]])
@pytest.mark.parametrize(("least", "patience"), [(0.01, 2), (0.01, 1), (0.0, 2), (0.02, 3)])
def test_ends_where_keras_does(values: list[float], least: float, patience: int) -> None:
    progress, ends = TrainingProgress(), None
    for step, value in enumerate(values):
        progress.step = step
        progress.note(value, value, least)
        if progress.stale >= patience:
            ends = step
            break
    keras_stops = keras.callbacks.EarlyStopping("value", least, patience, mode="max")
    keras_stops.set_model(SimpleNamespace(stop_training=False))
    keras_stops.on_train_begin()
    for step, value in enumerate(values):
        keras_stops.on_epoch_end(step, {"value": value})
        if keras_stops.model.stop_training:
            break
    assert ends == (keras_stops.stopped_epoch or None)


def test_validations_are_judged_anew() -> None:
    progress = TrainingProgress()
    for step, value in enumerate((0.30, 0.34, 0.35, 0.36, 0.37), start=1):
        progress.step = step
        progress.history.append({"step": step, "mAP": value, "validation_loss": 1 - value})
        progress.note(value, value, 0.05)
    assert (progress.stale, progress.improved_step) == (1, 4)
    for metric in ("mAP", "loss"):
        for least, stale, improved in ((0.0, 0, 5), (0.1, 4, 1), (0.05, 1, 4)):
            progress.judge_anew(metric, least)
            assert (progress.stale, progress.improved_step) == (stale, improved)
    assert (progress.best_step, progress.best_value) == (5, 0.37)


class Scripted(Validation):
    """Gives the next of some mAPs, and keeps the weights as they were then."""

    def __init__(self, detector: Detector, values: list[float]) -> None:
        self._detector = detector
        self._values = iter(values)
        self.weights: list[NDArray[np.float32]] = []

    def evaluate(self) -> ValidationResult:
        value = next(self._values)
        self.weights.append(weights_of(self._detector))
        nothing = ConfusionMatrix(np.zeros((1, 1), np.int64), (), 0.5)
        return ValidationResult(CocoMetrics({"mAP": value, "mAP_50": value}, {}, (), 0.5, nothing, 0, 0), {}, [])


def weights_of(detector: Detector) -> NDArray[np.float32]:
    return np.concatenate([variable.numpy().ravel() for variable in detector.variables().values()])


@pytest.mark.usefixtures("short_mobilenet", "unsimplified")
def test_ends_when_patience_is_over_with_the_weights_of_the_best_validation(
    small_config: str, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = decode(PipelineConfig, parse(small_config))
    keras.utils.set_random_seed(1)
    detector = build_detector(config.model)
    plan = Plan(config.train_config, Settings(validation_interval=1, early_stopping_patience=3))
    validation = Scripted(detector, [0.1, 0.3, 0.3, 0.2, 0.2, 0.9])
    records, store = Records(prepared / "train"), CheckpointStore(tmp_path, plan.config.num_steps)
    progress = train(detector, plan, records, validation, store, ProgressReport((), plan.config.num_steps))
    assert (progress.step, progress.best_step, progress.best_map) == (5, 3, 0.3)
    assert "stopped       at step 5: 3 validations without a better mAP than at step 2" in capsys.readouterr().out
    np.testing.assert_array_equal(weights_of(detector), validation.weights[2])
    assert (validation.weights[2] != validation.weights[4]).any()


@dataclass
class Told:
    """A training, told again with other settings from where it ended."""

    config: PipelineConfig
    records: Records
    folder: Path

    def train(
        self, values: list[float], num_steps: int = 0, epoch_steps: int = 0, stopped_at: int = 0, **settings: object
    ) -> int:
        """The step at which it ends, where validations have these results; it is asked to stop in `stopped_at`."""
        keras.utils.set_random_seed(1)
        config = self.config.train_config
        config = replace(config, num_steps=num_steps or config.num_steps)
        plan = Plan(config, Settings(**settings), epoch_steps=epoch_steps)  # type: ignore[arg-type]
        detector = build_detector(self.config.model)
        store = CheckpointStore(self.folder, config.num_steps)
        validation, report = Scripted(detector, values), ProgressReport((), config.num_steps)
        steps = count(1)
        return train(detector, plan, self.records, validation, store, report, lambda: next(steps) == stopped_at).step


@pytest.fixture
def told(small_config: str, prepared: Path, tmp_path: Path) -> Told:
    return Told(decode(PipelineConfig, parse(small_config)), Records(prepared / "train"), tmp_path)


@pytest.mark.usefixtures("short_mobilenet", "unsimplified")
def test_what_was_stopped_early_goes_on_with_more_patience(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert told.train([0.3, 0.2, 0.2], validation_interval=1, early_stopping_patience=2) == 3
    capsys.readouterr()
    # With the same patience it is over before another step.
    assert told.train([], validation_interval=1, early_stopping_patience=2) == 3
    output = capsys.readouterr().out
    assert "stopped       at step 3: 2 validations without a better mAP than at step 1" in output
    assert told.train([0.2, 0.2, 0.9], validation_interval=1, early_stopping_patience=4) == 5
    assert told.train([0.2, 0.9], num_steps=7, validation_interval=1, early_stopping_patience=0) == 7


@pytest.mark.usefixtures("short_mobilenet", "unsimplified")
def test_a_longer_training_takes_its_schedule_at_the_stored_step(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told.train([0.1], num_steps=2, validation_interval=4) == 2
    assert told.train([0.1], num_steps=4, validation_interval=4) == 4
    output = capsys.readouterr().out
    (said,) = [line for line in output.splitlines() if line.startswith("resumed ")]
    assert said.startswith(
        "resumed       after step 2 of 2: from here on with the schedule of 4 steps, learning rate 0.0"
    )


@pytest.mark.usefixtures("short_mobilenet", "unsimplified")
def test_patience_counts_epochs_where_a_training_is_told_in_epochs(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told.train([0.3, 0.2, 0.2], num_steps=20, epoch_steps=2, early_stopping_patience=2) == 6
    assert "stopped       at step 6: 2 epochs without a better mAP than at step 2" in capsys.readouterr().out
    # However often is validated.
    assert told.train([0.2] * 9, 20, epoch_steps=2, early_stopping_patience=4, validation_interval=1) == 10


@pytest.mark.usefixtures("short_mobilenet", "unsimplified")
def test_an_interruption_between_two_validations_uses_no_patience_up(told: Told) -> None:
    settings = {"early_stopping_patience": 2, "validation_interval": 3}
    with pytest.raises(InterruptedTrainingError):
        told.train([0.3, 0.2], 20, epoch_steps=2, stopped_at=7, **settings)
    assert told.train([0.4, 0.4, 0.4], 20, epoch_steps=2, **settings) == 15
