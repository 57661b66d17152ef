# SPDX-License-Identifier: Apache-2.0
"""When a training ends, and which weights it leaves, told by validations whose results are given."""

import math
from pathlib import Path

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
from training_src.training.loop import Plan, train
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


def test_a_little_more_is_kept_but_is_no_improvement() -> None:
    progress = noted(0.30, 0.34, 0.36, least=0.05)
    assert (progress.best_step, progress.stale) == (3, 2)
    assert noted(0.30, 0.36, least=0.05).stale == 0


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
    progress = train(detector, plan, records, validation, store, ProgressReport(None, plan.config.num_steps))
    assert (progress.step, progress.best_step, progress.best_map) == (5, 3, 0.3)
    assert "stopped       at step 5: 3 validations without a better mAP than at step 3" in capsys.readouterr().out
    np.testing.assert_array_equal(weights_of(detector), validation.weights[2])
    assert (validation.weights[2] != validation.weights[4]).any()
