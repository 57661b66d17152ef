# SPDX-License-Identifier: Apache-2.0
"""The range in which eight bits say most of what a tensor holds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training_src.export.litert_ranges import STEPS, _of_least_error


def error(values: NDArray[np.float64], least: float, greatest: float) -> float:
    """The mean squared error of values in 256 steps."""
    step = (greatest - least) / STEPS
    rounded = np.clip(np.round((values - least) / step), 0, STEPS) * step + least
    return float(np.mean((rounded - values) ** 2))


def test_a_few_outliers_do_not_make_all_others_coarse() -> None:
    values = np.append(np.random.default_rng(1).normal(0.0, 1.0, 100_000), [20.0, -18.0])
    least, greatest = _of_least_error(values.astype(np.float32), values.min(), values.max())
    assert -18.0 < least < 0.0 < greatest < 20.0
    assert error(values, least, greatest) < 0.9 * error(values, values.min(), values.max())


def test_where_there_are_none_nothing_is_cut() -> None:
    values = np.random.default_rng(2).uniform(-3.0, 2.0, 100_000).astype(np.float32)
    assert _of_least_error(values, -3.0, 2.0) == pytest.approx((-3.0, 2.0))


@pytest.mark.parametrize(("low", "high", "expected"), [(1.0, 2.0, (0.0, 2.0)), (-2.0, -1.0, (-2.0, 0.0))])
def test_zero_is_within_it(low: float, high: float, expected: tuple[float, float]) -> None:
    values = np.random.default_rng(3).uniform(low, high, 10_000).astype(np.float32)
    assert _of_least_error(values, low, high) == pytest.approx(expected)


def test_what_is_always_0_has_a_range() -> None:
    assert _of_least_error(np.zeros(100, np.float32), 0.0, 0.0) == (0.0, 0.0)
