# SPDX-License-Identifier: Apache-2.0
"""A training's curves from what it printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.client.connection import Connection
from pipelines.client.curves import Curves, curves
from pipelines.client.executions import Execution
from tests.pipelines.display.test_curves import LOG
from tests.pipelines.display.test_progress import BEGAN
from training_src.training.event_folders import EventFolders
from training_src.training.progress_report import ProgressReport


def test_a_log_is_read_by_step_and_the_last_word_counts() -> None:
    read = Curves.read(LOG)

    assert read.training["loss"][:2] == [(1, 1.8), (100, 0.8)]
    assert read.training["learning_rate"] == [(1, 0.01), (100, 0.02), (200, 0.0)]
    assert read.validation["mAP"] == [(100, 0.2), (200, 0.3)]
    assert read.validation["loss"] == [(100, 1.1), (200, 0.9)]


def test_what_training_writes_is_what_is_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = ProgressReport([EventFolders(tmp_path, tmp_path)], 10)
    names = ("loss", "classification_loss", "localization_loss", "learning_rate", "images_per_second")
    report.training(5, dict.fromkeys(names, 0.5), 3.0)
    report.validation(10, {"mAP": 0.25, "mAP_50": 0.5, "loss": 1.5})

    read = Curves.read(capsys.readouterr().out.splitlines())

    assert read.training["loss"] == [(5, 0.5)]
    assert read.validation == {"mAP": [(10, 0.25)], "mAP_50": [(10, 0.5)], "loss": [(10, 1.5)]}


def test_an_execution_without_a_training_has_no_curves() -> None:
    assert curves(Connection(), Execution("arn:x/1", "Failed", BEGAN, None, [])) == Curves()
