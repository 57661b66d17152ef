# SPDX-License-Identifier: Apache-2.0
"""Anchors equal the OD API's."""

from typing import Any

import numpy as np
import pytest

from training_src.models.anchors import anchors_per_cell, multiscale_anchors
from training_src.models.config.anchors import AnchorGenerator
from training_src.models.config.decoding import decode
from training_src.models.text_format import parse


@pytest.mark.parametrize("name", ["anchors_multiscale", "anchors_multiscale_nonsquare"])
def test_anchors_equal_the_reference(functions: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    parameters, arrays = functions
    case = parameters[name]
    config = decode(AnchorGenerator, parse(case["config"])).multiscale_anchor_generator
    anchors = multiscale_anchors(config, case["feature_map_shapes"], case["im_height"], case["im_width"])
    assert anchors.dtype == np.float32
    assert anchors_per_cell(config) == case["num_anchors_per_location"][0]
    np.testing.assert_allclose(anchors, arrays[f"{name}/anchors"], rtol=1e-5, atol=1e-6)
