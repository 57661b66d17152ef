# SPDX-License-Identifier: Apache-2.0
"""Pixels on their way into the network."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from training_src.models.config.decoding import decode
from training_src.models.config.image_resizer import ImageResizer, ResizeMethod, resized_shape
from training_src.models.errors import ConfigError
from training_src.models.preprocessing import mask_padding, resize, resize_to, scale_to_one
from training_src.text_format import parse

KEPT = ["pad", "down_pad", "nopad", "maxbound"]
CASES = [f"resize_fixed_{way}" for way in ("up", "down", "nearest")] + [
    f"resize_keep_{way}_{shape}" for way in KEPT for shape in ("landscape", "portrait")
]


@pytest.mark.parametrize("name", CASES)
def test_resizing_equals_the_reference(functions: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    parameters, arrays = functions
    resizer = decode(ImageResizer, parse(parameters[name]["config"]))
    resized, true_shape = resize_to(resizer, tf.cast(arrays[f"{name}/image"][None], tf.float32))
    np.testing.assert_allclose(resized[0], arrays[f"{name}/resized"], atol=1e-3)
    np.testing.assert_array_equal(true_shape[0], arrays[f"{name}/true_shape"])
    assert resized_shape(resizer) in (None, resized.shape[1:3])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("identity_resizer {}", (20, 30)),
        ("pad_to_multiple_resizer { multiple: 16 }", (32, 32)),
        ("conditional_shape_resizer { condition: GREATER size_threshold: 15 }", (10, 15)),
        ("conditional_shape_resizer { condition: GREATER size_threshold: 40 }", (20, 30)),
        ("conditional_shape_resizer { condition: SMALLER size_threshold: 40 resize_method: BICUBIC }", (40, 60)),
        ("conditional_shape_resizer { condition: SMALLER size_threshold: 10 resize_method: AREA }", (20, 30)),
    ],
)
def test_resizers_whose_size_depends_on_the_image(text: str, size: tuple[int, int]) -> None:
    resizer = decode(ImageResizer, parse(text))
    resized, true_shape = resize_to(resizer, tf.fill([1, 20, 30, 3], 7.0))
    assert resized_shape(resizer) is None
    assert resized.shape[1:3] == size
    np.testing.assert_array_equal(true_shape, [[20, 30, 3]] if "pad" in text else [[*size, 3]])
    np.testing.assert_allclose(resized[:, :20, :30] if "pad" in text else resized, 7.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("keep_aspect_ratio_resizer { min_dimension: 64 max_dimension: 64 pad_to_max_dimension: true }", (64, 64)),
        ("keep_aspect_ratio_resizer { min_dimension: 32 max_dimension: 64 }", (1, 64)),
        ("conditional_shape_resizer { condition: GREATER size_threshold: 64 }", (1, 64)),
    ],
)
def test_no_side_is_resized_to_nothing(text: str, size: tuple[int, int]) -> None:
    """A strip of 1 x 60,000 would become one of height 0, which no picture and no box has."""
    resizer = decode(ImageResizer, parse(text))
    resized, true_shape = resize_to(resizer, tf.fill([1, 1, 60_000, 3], 7.0))
    assert resized.shape[1:3] == size
    np.testing.assert_array_equal(true_shape, [[1, 64, 3]])
    np.testing.assert_allclose(resized[0, 0], 7.0, rtol=1e-5)


@settings(max_examples=30)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.sampled_from([(1, 1), (7, 64), (48, 33)]),
    method=st.sampled_from(["BILINEAR", "NEAREST_NEIGHBOR", "BICUBIC", "AREA"]),
)
def test_bytes_are_resized_as_the_same_numbers_in_floating_point_are(
    height: int, width: int, size: tuple[int, int], method: ResizeMethod
) -> None:
    pixels = np.random.default_rng([height, width]).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    resized = resize(tf.constant(pixels), *size, method)
    assert resized.dtype == tf.float32
    np.testing.assert_array_equal(resized, resize(tf.constant(pixels, tf.float32), *size, method))


def test_what_lies_beside_the_image_becomes_padding() -> None:
    text = "keep_aspect_ratio_resizer { pad_to_max_dimension: true per_channel_pad_value: [1, 2, 3] }"
    masked = mask_padding(decode(ImageResizer, parse(text)), tf.fill([1, 3, 3, 3], 9.0), tf.constant([[2, 3, 3]]))
    np.testing.assert_array_equal(masked[0, :2], np.full((2, 3, 3), 9))
    np.testing.assert_array_equal(masked[0, 2], [[1, 2, 3]] * 3)


def test_padding_values_must_be_as_many_as_channels() -> None:
    text = "keep_aspect_ratio_resizer { pad_to_max_dimension: true per_channel_pad_value: [1, 2] }"
    with pytest.raises(ConfigError, match="per_channel_pad_value has 2 values, an image has 3"):
        resize_to(decode(ImageResizer, parse(text)), tf.zeros([1, 3, 3, 3]))


def test_pixels_become_minus_one_to_one() -> None:
    np.testing.assert_allclose(scale_to_one(tf.constant([0.0, 127.5, 255.0])), [-1, 0, 1], atol=1e-6)
