# SPDX-License-Identifier: Apache-2.0
"""A fingerprint is written into data sets: its bits mean the same for good."""

import numpy as np
import pytest

from training_src.data.checks.fingerprint import fingerprint

RAMP = np.linspace(0, 255, 90).astype(np.uint8)


@pytest.mark.parametrize(
    ("row", "dhash"),
    [(RAMP, -1), (RAMP[::-1], 0), (np.concatenate([RAMP[:40], RAMP[40::-1], RAMP[:9]]), -0x0F0F0F0F0F0F0F10)],
    ids=["brighter to the right", "darker to the right", "a ridge in the middle"],
)
def test_a_bit_says_whether_it_gets_brighter_to_the_right(row: np.ndarray, dhash: int) -> None:
    grey = np.repeat(row[None, :90], 80, axis=0)
    assert fingerprint(grey).dhash == dhash


def test_a_bit_is_not_set_where_it_stays_as_bright() -> None:
    steps = np.repeat(np.array([0, 0, 255, 255, 0, 0, 255, 255, 255], np.uint8), 10)
    assert fingerprint(np.repeat(steps[None], 80, axis=0)).dhash == int.from_bytes(bytes([0b01000100]) * 8, "big")


@pytest.mark.parametrize(("amplitude", "is_there"), [(3, False), (4, True), (5, True)])
def test_steps_below_a_deviation_of_four_are_noise(amplitude: int, is_there: bool) -> None:
    """Half of a miniature's places so much below the mean, half above: that is the deviation."""
    halves = np.repeat(np.array([100 - amplitude, 100 + amplitude], np.uint8), 40)
    grey = np.repeat(halves[:, None], 90, axis=1)
    assert (fingerprint(grey).dhash is not None) == is_there


def test_without_contrast_there_is_none() -> None:
    told = fingerprint(np.full((80, 90), 77, np.uint8))
    assert told.dhash is None
    assert told.brightness == 77
