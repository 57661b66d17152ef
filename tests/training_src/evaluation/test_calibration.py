# SPDX-License-Identifier: Apache-2.0
"""Scores against what became of them, by hand."""

import numpy as np
import pytest

from training_src.evaluation.calibration import Bin, calibration


def test_error_is_the_weighted_gap_of_the_bins() -> None:
    scores = np.array([0.81, 0.89, 0.85, 0.85, 0.32])
    found = calibration(scores, np.array([True, True, True, False, False]))
    assert [one.count for one in found.bins] == [0, 0, 1, 0, 0, 0, 0, 4, 0]
    assert found.bins[7].score == pytest.approx(0.85)
    assert found.bins[7].precision == 0.75
    assert found.error == pytest.approx((4 * 0.10 + 1 * 0.32) / 5)
    assert found.bias == pytest.approx((4 * -0.10 + 1 * -0.32) / 5)


def test_gaps_of_different_sign_add_up_in_the_error_and_cancel_in_the_bias() -> None:
    found = calibration(np.array([0.95, 0.15]), np.array([False, True]))
    assert found.error == pytest.approx((0.95 + 0.85) / 2)
    assert found.bias == pytest.approx((-0.95 + 0.85) / 2)


def test_a_bin_has_its_lower_edge_and_the_last_one_both() -> None:
    found = calibration(np.array([0.2, 1.0]), np.array([True, True]))
    assert found.bins[1].lower == pytest.approx(0.2)
    assert found.bins[-1].upper == 1
    assert [one.count for one in found.bins] == [0, 1, 0, 0, 0, 0, 0, 0, 1]


def test_what_a_detector_hardly_believes_is_left_out() -> None:
    found = calibration(np.array([0.05] * 1000), np.zeros(1000, bool))
    assert (found.error, found.bias) == (None, None)
    assert found.bins[0] == Bin(pytest.approx(0.1), pytest.approx(0.2), 0, None, None)  # type: ignore[arg-type]
