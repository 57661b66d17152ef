# SPDX-License-Identifier: Apache-2.0
"""What lines say of the pace, by a clock that is set by hand."""

from typing import cast

import pytest

from training_src.training.pace import Pace
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
    assert pace.seconds_per_step == 4


def test_a_line_whose_last_step_is_the_first_of_its_size_has_a_pace() -> None:
    clock = Clock()
    pace = Pace(8, clock)
    assert after(pace, clock, [(SMALL, 16)]) == 0.5
    assert pace.seconds_per_step == 0, "nobody knows"
    assert after(pace, clock, [(SMALL, 2)]) == 4
    assert after(pace, clock, [(SMALL, 2), (LARGE, 32)]) == 0.25
    assert pace.seconds_per_step == 2, "as before, until a step at the new size is done"
    clock.now += 100
    pace.pause_over()
    assert after(pace, clock, [(LARGE, 4)]) == 2


def test_two_stages_are_summed() -> None:
    pace = Pace(1, Clock())
    terms = {"Loss/a/localization_loss": 1.0, "Loss/b/localization_loss": 2.0, "Loss/a/objectness_loss": 4.0}
    pace.add(Losses(total=7.0, terms=terms, stops=0), LARGE)
    means = pace.means(0.1)
    assert (means["localization_loss"], means["classification_loss"]) == pytest.approx((3.0, 4.0))
