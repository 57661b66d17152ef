# SPDX-License-Identifier: Apache-2.0
"""What lines say of the pace, by a clock that is set by hand."""

from pathlib import Path
from typing import cast

import pytest

from training_src.training.event_folders import EventFolders
from training_src.training.pace import Pace
from training_src.training.progress_report import ProgressReport
from training_src.training.step import Losses, TrainingStep

LARGE, SMALL = cast(TrainingStep, object()), cast(TrainingStep, object())


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def after(pace: Pace, clock: Clock, steps: list[tuple[TrainingStep, float]]) -> float:
    """Do steps that take so long; what the line behind them says of the pace."""
    for step, seconds in steps:
        clock.now += seconds
        pace.add(Losses(total=1.0, terms={"Loss/x_localization_loss": 0.5}, stops=0), step)
    return pace.means(0.1)["images_per_second"]


def test_a_line_leaves_tracing_out_where_it_can() -> None:
    clock = Clock()
    pace = Pace(8, clock)
    assert after(pace, clock, [(SMALL, 20), (SMALL, 2), (SMALL, 2)]) == 4
    assert after(pace, clock, [(SMALL, 1), (LARGE, 30), (LARGE, 4), (LARGE, 4)]) == 2
    assert pace.seconds_left(100) == 400


def test_a_line_whose_last_step_is_the_first_of_its_size_has_a_pace() -> None:
    clock = Clock()
    pace = Pace(8, clock)
    assert after(pace, clock, [(SMALL, 16)]) == 0.5
    assert pace.seconds_left(100) is None, "nobody knows"
    assert pace.seconds_left(0) == 0
    assert after(pace, clock, [(SMALL, 2)]) == 4
    assert after(pace, clock, [(SMALL, 2), (LARGE, 32)]) == 0.25
    assert pace.seconds_left(100) == 200, "as before, until a step at the new size is done"
    clock.now += 100
    pace.pause_over()
    assert after(pace, clock, [(LARGE, 4)]) == 2


@pytest.mark.parametrize(
    ("images_per_second", "eta_seconds", "said"),
    [
        (118.25, 85.4, "images_per_second=118.2 eta_seconds=85"),
        (0.034, 0.0, "images_per_second=0.034 eta_seconds=0"),
        # A batch of one of a large network, on a machine that does other things too.
        (0.0004, None, "images_per_second=0.001"),
    ],
)
def test_a_line_says_what_is_known_and_never_that_nothing_moves(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    images_per_second: float,
    eta_seconds: float | None,
    said: str,
) -> None:
    values = dict.fromkeys(("loss", "classification_loss", "localization_loss", "learning_rate"), 1.0)
    values["images_per_second"] = images_per_second
    ProgressReport([EventFolders(tmp_path, tmp_path)], 10).training(1, values, eta_seconds)
    assert capsys.readouterr().out.endswith(f"learning_rate=1.00000 {said}\n")


def test_two_stages_are_summed() -> None:
    pace = Pace(1, Clock())
    terms = {"Loss/a/localization_loss": 1.0, "Loss/b/localization_loss": 2.0, "Loss/a/objectness_loss": 4.0}
    pace.add(Losses(total=7.0, terms=terms, stops=0), LARGE)
    means = pace.means(0.1)
    assert (means["localization_loss"], means["classification_loss"]) == pytest.approx((3.0, 4.0))
