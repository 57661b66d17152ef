# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rich.console import Console

from pipelines.client.executions import Execution, Step
from pipelines.display import progress

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LINE = (
    "step=50/100 loss=1.2000 classification_loss=0.7 localization_loss=0.5 learning_rate=0.01000 "
    "images_per_second=18.3 eta_seconds=85"
)


def _execution(step: Step) -> Execution:
    return Execution("arn:x/1", "Executing", BEGAN, None, [step])


def _step(status: str, reason: str | None = None) -> Step:
    return Step("TrainDetector", status, BEGAN, BEGAN + timedelta(seconds=7), reason, cached=False)


def test_each_change_is_printed_once_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    view = progress._PrintedView(Console(file=out, width=200))

    for status in ("Starting", "Executing", "Executing", "Succeeded"):
        view.show(_execution(_step(status)))

    assert out.getvalue().splitlines() == ["  TrainDetector Executing 7 s", "  TrainDetector Succeeded 7 s"]


def test_a_step_that_waits_for_a_quota_says_so() -> None:
    out = io.StringIO()
    printed, live = (
        progress._PrintedView(Console(file=out, width=200)),
        progress._LiveView(Console(file=out, width=200)),
    )
    waits = replace(_step("Executing"), attempts=3, waits_for="ml.g5.xlarge for training job usage")
    told = "waits: the account's quota of ml.g5.xlarge for training job usage is in use"

    for step in (_step("Executing"), waits, waits, _step("Executing")):
        printed.show(_execution(step))

    assert out.getvalue().splitlines() == [
        "  TrainDetector Executing 7 s",
        f"  TrainDetector {told}",
        "  TrainDetector Executing 7 s",
    ]
    assert str(live._note(waits)) == told


def test_training_is_told_in_tenths_with_loss_rate_speed_and_time_left() -> None:
    out = io.StringIO()
    view = progress._PrintedView(Console(file=out, width=200))

    for _ in range(3):
        view.logged("TrainDetector", LINE)

    assert out.getvalue().splitlines() == [
        "  TrainDetector: 50/100  loss 1.2000, learning rate 0.01000, 18.3 images/s, 85 s left"
    ]


def test_a_failure_is_shown_with_its_reason_on_a_terminal() -> None:
    out = io.StringIO()
    view = progress._LiveView(Console(file=out, width=120, force_terminal=True))

    with view:
        view.logged("TrainDetector", LINE)
        view.show(_execution(_step("Executing")))
        view.show(_execution(_step("Failed", "AlgorithmError: loss is not finite at step 51")))

    assert "50/100" in out.getvalue()
    assert "loss is not finite at step 51" in out.getvalue()
