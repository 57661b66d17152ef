# SPDX-License-Identifier: Apache-2.0
"""MobileNet V1 in other widths than the reference's."""

from __future__ import annotations

import keras
import pytest

from training_src.models.feature_extractors.mobilenet_v1 import NARROW, mobilenet_v1
from training_src.models.feature_extractors.mobilenet_v2 import DEFAULT_HYPERPARAMS
from training_src.models.layers import Layers


def _channels(depth_multiplier: float, min_depth: int, channels_of: dict[int, int] | None = None) -> list[int]:
    """Of each convolution that is not depthwise, in their order."""
    images = keras.Input((64, 64, 3))
    levels = mobilenet_v1(
        images, Layers(DEFAULT_HYPERPARAMS, False).of_backbone(), depth_multiplier, min_depth, channels_of
    )
    network = keras.Model(images, list(levels.values()))
    assert [features.shape[1] for features in levels.values()] == [16, 8, 4, 2]
    return [layer.filters for layer in network.layers if type(layer).__name__ == "Conv2D"]


def test_widths_are_those_of_the_api_which_multiplies_twice() -> None:
    # As tf-models-research-object-detection 2.8.0 made them for alpha=0.75, min_depth=8.
    assert _channels(0.75, 8) == [18, 36, 72, 72, 144, 144, *[288] * 6, 576, 576]


@pytest.mark.parametrize(("min_depth", "first"), [(8, 8), (16, 16)])
def test_no_convolution_has_fewer_channels_than_the_least(min_depth: int, first: int) -> None:
    assert _channels(0.25, min_depth)[0] == first


def test_a_pyramid_of_separable_convolutions_stands_on_narrower_blocks() -> None:
    assert _channels(1.0, 8, dict(NARROW))[-3:] == [512, 512, 256]
