# SPDX-License-Identifier: Apache-2.0
"""Pixels on their way into the network."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.preprocessing import normalise, resize


@pytest.mark.parametrize(("name", "size"), [("resize_fixed_up", (48, 64)), ("resize_fixed_down", (20, 24))])
def test_resizing_equals_the_reference(
    functions: tuple[dict[str, Any], dict[str, Any]], name: str, size: tuple[int, int]
) -> None:
    _, arrays = functions
    resized = resize(tf.constant(arrays[f"{name}/image"][None]), *size)[0]
    np.testing.assert_allclose(resized, arrays[f"{name}/resized"], atol=1e-3)


def test_pixels_become_minus_one_to_one() -> None:
    np.testing.assert_allclose(normalise(tf.constant([0.0, 127.5, 255.0])), [-1, 0, 1], atol=1e-6)
