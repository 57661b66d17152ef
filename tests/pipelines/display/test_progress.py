# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
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
    assert [str(note) for note in live.notes(waits)] == [told]


def test_training_is_told_in_tenths_with_loss_rate_speed_and_time_left() -> None:
    out = io.StringIO()
    view = progress._PrintedView(Console(file=out, width=200))

    for _ in range(3):
        view.logged("TrainDetector", LINE)

    assert out.getvalue().splitlines() == [
        "  TrainDetector: 50/100  85 s left, loss 1.2000, rate 0.01000, 18.3 images/s"
    ]


ANSWER = {"Name": "A", "Value": "[b]"}
LONG = (
    "step=123456/250000 loss=12.2345 classification_loss=11.1 localization_loss=1.1 learning_rate=0.00012 "
    "images_per_second=1118.3 eta_seconds=183600"
)


@pytest.mark.parametrize("line", [LINE, LONG])
@pytest.mark.parametrize("width", [80, 44])
def test_the_training_line_fits_the_screen_and_keeps_the_time_left(line: str, width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    view = progress._LiveView(console)
    view.logged("TrainDetector", line)
    view.show(_execution(_step("Executing")))
    drawn = _drawn(view, console)

    (told,) = [line for line in drawn if "left" in line]
    assert "85 s left" in told or "51 h 00 min left" in told
    assert all(len(line.rstrip()) <= width for line in drawn)


def test_the_first_step_says_nothing_of_a_time_that_nobody_knows() -> None:
    first = "loss=3.1684 learning_rate=0.01000 images_per_second=0.0 eta_seconds=0"

    assert progress.readable(first, 80) == "loss 3.1684, rate 0.01000"
    first = "loss=3.1684 learning_rate=0.01000 images_per_second=0.034"
    assert progress.readable(first, 80) == "loss 3.1684, rate 0.01000, 0.034 images/s"


def test_the_printed_training_line_fits_a_page() -> None:
    out = io.StringIO()
    progress._PrintedView(Console(file=out, width=200)).logged("TrainDetector", LONG)

    assert "51 h 00 min left, loss 12.2345" in out.getvalue()
    assert len(out.getvalue().rstrip()) <= 80


@pytest.mark.parametrize("steps", [[], [Step("TrainDetector", "Executing", BEGAN, None, None, cached=False)]])
def test_something_moves_before_anything_is_told(steps: list[Step], monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    view = progress._LiveView(console)
    view.show(Execution("arn:x/1", "Executing", BEGAN, None, steps))
    frames = set()
    for time in (0.0, 0.3, 0.6):
        monkeypatch.setattr(console, "get_time", lambda time=time: time)
        frames.add(next(sign for sign in "".join(_drawn(view, console)) if sign in progress.FRAMES))

    assert len(frames) == 3


def test_nothing_moves_when_an_execution_has_ended() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    view = progress._LiveView(console)
    view.show(Execution("arn:x/1", "Succeeded", BEGAN, None, [_step("Succeeded")]))

    assert not set(progress.FRAMES) & set("".join(_drawn(view, console)))


def _drawn(view: progress._LiveView, console: Console) -> list[str]:
    with console.capture() as captured:
        console.print(view._drawn())
    return captured.get().splitlines()


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"Condition": {"Outcome": "False"}}, "its condition is false"),
        (
            {
                "Lambda": {
                    "Arn": "arn:aws:lambda:x:1:function:find",
                    "OutputParameters": [{"Name": "A", "Value": "[b]"}],
                }
            },
            "it called arn:aws:lambda:x:1:function:find, whose log is CloudWatch's group /aws/lambda/find\nA: [b]",
        ),
        ({"Callback": {"SqsQueueUrl": "https://q"}}, "it sent a message to https://q and waits for its answer"),
        ({"Fail": {"ErrorMessage": "The gate"}}, "The gate"),
        ({"RegisterModel": {"Arn": "arn:m/3"}}, "it registered arn:m/3"),
        ({"TrainingJob": {"Arn": "arn:j/job-1"}}, "its job job-1 has written no log, or its log is no longer kept"),
    ],
)
def test_a_step_without_a_log_says_what_is_known_of_it(metadata: dict[str, Any], told: str) -> None:
    step = replace(_step("Executing"), metadata=metadata)

    assert progress.known_of(step) == ["TrainDetector Executing, 7 s", *told.splitlines()]


def test_the_reason_of_a_step_without_a_log_is_told() -> None:
    assert progress.known_of(_step("Failed", "AccessDenied"))[-1] == "AccessDenied"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [("85", "85 s"), ("600", "10 min"), (7260.0, "2 h 01 min"), ("nan", "nan"), ("inf", "inf"), ("soon", "soon")],
)
def test_times_are_told_as_people_say_them(seconds: str | float, told: str) -> None:
    assert progress.time_of(seconds) == told


def test_a_failure_is_shown_with_its_reason_on_a_terminal() -> None:
    out = io.StringIO()
    view = progress._LiveView(Console(file=out, width=120, force_terminal=True))

    with view:
        view.logged("TrainDetector", LINE)
        view.show(_execution(_step("Executing")))
        view.show(_execution(_step("Failed", "AlgorithmError: loss is not finite at step 51")))

    assert "50/100" in out.getvalue()
    assert "loss is not finite at step 51" in out.getvalue()
