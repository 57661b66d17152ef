# SPDX-License-Identifier: Apache-2.0
"""What a config builds, in numbers that can be counted by hand."""

import math
from typing import Any

import keras
import pytest

from training_src.models import info
from training_src.models.architectures import build_detector
from training_src.models.config.pipeline import load_bundled
from training_src.models.detector import Detector
from training_src.models.info import Info, describe

SMALL = "ssd_mobilenet_v2_fpnlite_160x160"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return build_detector(load_bundled(SMALL, num_classes=3).config.model)


@pytest.fixture(scope="module")
def small(detector: Detector) -> Info:
    return describe(detector, load_bundled(SMALL, num_classes=3))


def test_parameters_add_up_to_all_that_the_networks_hold(detector: Detector, small: Info) -> None:
    (network,) = small.networks
    held = sum(math.prod(variable.shape) for variable in detector.variables().values())
    assert network.parameters + network.other_parameters == held
    moving = [key for key in detector.variables() if "moving_" in key]
    assert network.other_parameters == sum(math.prod(detector.variables()[key].shape) for key in moving)
    assert network.layers["BatchNormalization"] == len(moving) // 2


def test_levels_are_those_of_the_anchor_generator(detector: Detector, small: Info) -> None:
    # A 160x160 image at strides 8, 16 and 32, with three ratios at two scales.
    assert [(level.height, level.width, level.anchors_per_cell) for level in small.levels] == [
        (20, 20, 6),
        (10, 10, 6),
        (5, 5, 6),
    ]
    predictions = detector.predict(detector.preprocess(keras.ops.zeros((1, 160, 160, 3))), training=False)
    assert predictions["box_encodings"].shape[1] == sum(level.anchors or 0 for level in small.levels) == 3150


def test_another_class_count_changes_the_class_head_alone(small: Info) -> None:
    other = describe(
        build_detector(load_bundled(SMALL, num_classes=4).config.model), load_bundled(SMALL, num_classes=4)
    )
    # One logit an anchor more, from 64 channels, with its bias.
    assert other.parameters - small.parameters == 6 * (64 + 1)


@pytest.mark.parametrize(
    ("layers", "channels", "flops"),
    [
        ([keras.layers.Conv2D(8, 3, padding="same")], 4, 2 * 16 * 16 * 8 * 3 * 3 * 4),
        ([keras.layers.Conv2D(8, 3, strides=2, padding="same")], 4, 2 * 8 * 8 * 8 * 3 * 3 * 4),
        ([keras.layers.DepthwiseConv2D(5, padding="same")], 4, 2 * 16 * 16 * 4 * 5 * 5),
        ([keras.layers.SeparableConv2D(8, 3, padding="same")], 4, 2 * 16 * 16 * (4 * 3 * 3 + 4 * 8)),
        ([keras.layers.Flatten(), keras.layers.Dense(10)], 1, 2 * 256 * 10),
        ([keras.layers.ReLU()], 4, 0),
    ],
)
def test_operations_are_those_that_the_layers_take(layers: list[Any], channels: int, flops: int) -> None:
    network = keras.Sequential([keras.Input((16, 16, channels)), *layers])
    assert info._flops(network, (1, 16, 16, channels)) == flops


def test_a_shared_layer_counts_as_often_as_it_is_used() -> None:
    shared = keras.layers.Conv2D(4, 1)
    images = keras.Input((8, 8, 4))
    network = keras.Model(images, shared(shared(images)))
    assert info._flops(network, (1, 8, 8, 4)) == 2 * (2 * 8 * 8 * 4 * 4)
