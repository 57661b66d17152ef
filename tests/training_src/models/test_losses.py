# SPDX-License-Identifier: Apache-2.0
"""Losses equal the OD API's, entry by entry."""

from typing import Any

import numpy as np
import pytest

from training_src.models.losses import sigmoid_focal_loss, smooth_l1_loss


@pytest.mark.parametrize("name", ["focal_025_2", "focal_025_15", "focal_075_2", "focal_none_2"])
def test_focal_loss_equals_the_reference(functions: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    parameters, arrays = functions
    given = {key.split("/")[1]: array for key, array in arrays.items() if key.startswith(f"{name}/")}
    loss = sigmoid_focal_loss(given["logits"], given["targets"], parameters[name]["gamma"], parameters[name]["alpha"])
    weights = given["weights"] if given["weights"].ndim == 3 else given["weights"][..., None]
    np.testing.assert_allclose(loss * weights, given["loss"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["smooth_l1_1", "smooth_l1_01"])
def test_smooth_l1_equals_the_reference(functions: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    parameters, arrays = functions
    given = {key.split("/")[1]: array for key, array in arrays.items() if key.startswith(f"{name}/")}
    loss = smooth_l1_loss(given["prediction"], given["target"], parameters[name]["delta"])
    np.testing.assert_allclose(loss * given["weights"], given["loss"], rtol=1e-5, atol=1e-6)
