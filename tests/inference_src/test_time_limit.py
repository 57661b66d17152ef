# SPDX-License-Identifier: Apache-2.0
"""A test set that is too large for the step's time is told as soon as a rate is known."""

import contextlib
import time

import pytest

from inference_src.errors import TooLittleTimeError
from inference_src.time_limit import TimeLimit


@pytest.mark.parametrize(
    ("seconds", "answered", "rate", "runs_after", "start_seconds", "gone", "suffices"),
    [
        (None, 0, 0.001, 9, 600, 10**6, True),
        (2000, 0, 1, 0, 0, 0, True),
        (1100, 0, 1, 0, 0, 0, False),  # a tenth of the time is not this job's own
        (1100, 500, 1, 0, 0, 0, True),
        (1100, 500, 1, 0, 0, 600, False),
        (2000, 0, 1, 1, 0, 0, False),  # the champion comes after it
        (3000, 0, 1, 1, 600, 0, True),
        (3000, 0, 1, 1, 800, 0, False),
    ],
)
def test_time_suffices_or_a_sentence_says_what_would(
    seconds: int | None,
    answered: int,
    rate: float,
    runs_after: int,
    start_seconds: float,
    gone: float,
    suffices: bool,
) -> None:
    limit = TimeLimit(1000, seconds, time.monotonic() - gone)
    with contextlib.nullcontext() if suffices else pytest.raises(TooLittleTimeError, match="the 1000 test images take"):
        limit.check("challenger", answered, rate, runs_after, start_seconds)


def test_the_sentence_says_how_long_it_would_take_and_the_ways_out() -> None:
    with pytest.raises(TooLittleTimeError) as refused:
        TimeLimit(50_000, 7200).check("challenger on openvino f32", 0, 1.25, 1, 0)
    assert str(refused.value) == (
        "challenger on openvino f32: at 1.25 images a second the 50000 test images take 22.2 hours in all, with 1 of "
        "the servers still to come, but the job is stopped after 2.0 hours: raise processing.evaluate_maximum_hours in "
        "the environment's settings, choose a faster delivery.instance_type, or prepare fewer test images"
    )
