# SPDX-License-Identifier: Apache-2.0
"""Anchors equal the OD API's."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from training_src.models.anchors import anchors_per_cell, generate_anchors
from training_src.models.config.anchors import AnchorGenerator
from training_src.models.config.decoding import decode
from training_src.models.errors import ConfigError
from training_src.text_format import parse

CASES = [
    "anchors_multiscale",
    "anchors_multiscale_nonsquare",
    "anchors_multiscale_absolute",
    "anchors_ssd",
    "anchors_ssd_nonsquare",
    "anchors_grid",
    "anchors_grid_nonsquare",
]


@pytest.mark.parametrize("name", CASES)
def test_anchors_equal_the_reference(functions: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    parameters, arrays = functions
    case = parameters[name]
    config = decode(AnchorGenerator, parse(case["config"]))
    shapes, size = case["feature_map_shapes"], (case["im_height"], case["im_width"])
    assert anchors_per_cell(config, len(shapes)) == case["num_anchors_per_location"]
    known = generate_anchors(config, shapes, *size)
    asked = tf.function(lambda shapes, size: generate_anchors(config, [tuple(tf.unstack(s)) for s in shapes], *size))
    open_sizes = asked([tf.constant(shape) for shape in shapes], [tf.constant(side) for side in size])
    for anchors in (known, open_sizes):
        assert anchors.dtype == tf.float32
        np.testing.assert_allclose(anchors, arrays[f"{name}/anchors"], rtol=1e-5, atol=1e-6)


def test_strides_offsets_and_base_sizes_of_ssd_anchors() -> None:
    config = decode(
        AnchorGenerator,
        parse(
            "ssd_anchor_generator { num_layers: 1 scales: 0.5 aspect_ratios: 1 interpolated_scale_aspect_ratio: 0 "
            "reduce_boxes_in_lowest_layer: false base_anchor_height: 0.5 "
            "height_stride: 20 width_stride: 10 height_offset: 5 width_offset: 0 }"
        ),
    )
    anchors = generate_anchors(config, [(2, 1)], 40, 80)
    # In pixels 10 high and 20 wide, for sizes are shares of the shorter side; centres at y 5 and 25, x 0.
    np.testing.assert_allclose(anchors * [40, 80, 40, 80], [[0, -10, 10, 10], [20, -10, 30, 10]], atol=1e-5)


def test_a_single_layer_needs_scales() -> None:
    config = decode(AnchorGenerator, parse("ssd_anchor_generator { num_layers: 1 aspect_ratios: 1 }"))
    with pytest.raises(ConfigError, match="num_layers is 1, which needs scales to be set"):
        anchors_per_cell(config, 1)
