# SPDX-License-Identifier: Apache-2.0
"""Schedules equal the OD API's."""

import json
from pathlib import Path

import numpy as np
import pytest

from training_src.models.config.decoding import decode
from training_src.models.config.training import LearningRate
from training_src.models.text_format import parse
from training_src.training.learning_rate import learning_rate

FUNCTIONS = Path(__file__).parents[4] / "shared" / "golden" / "functions.npz"


@pytest.mark.skipif(not FUNCTIONS.exists(), reason=f"the reference arrays are not at {FUNCTIONS}")
@pytest.mark.parametrize("name", ["lr_cosine_warmup", "lr_cosine_nowarmup", "lr_cosine_hold", "lr_constant"])
def test_rates_equal_the_reference(name: str) -> None:
    text = json.loads(FUNCTIONS.with_suffix(".json").read_text())[name]["config"]
    config = decode(LearningRate, parse(text))
    with np.load(FUNCTIONS) as arrays:
        steps, expected = arrays[f"{name}/steps"], arrays[f"{name}/learning_rate"]
    rates = [learning_rate(config, int(step)) for step in steps]
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-8)
