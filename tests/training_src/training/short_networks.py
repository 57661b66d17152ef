# SPDX-License-Identifier: Apache-2.0
"""Networks with one block of each kind instead of many: to trace a step takes as long as there are layers."""

from collections.abc import Callable
from typing import Any

import pytest

from training_src.models.feature_extractors import faster_rcnn, mobilenet_v2, resnet


def shorten_mobilenet(assign: Callable[[Any, str, Any], None] = setattr) -> None:
    """From now on in this process, or for as long as what is assigned lasts."""
    blocks = tuple((expansion, channels, 1, strides) for expansion, channels, _, strides in mobilenet_v2.BLOCKS)
    assign(mobilenet_v2, "BLOCKS", blocks)
    assign(mobilenet_v2, "LEVEL_OF_BLOCK", {1: 2, 2: 3, 4: 4})
    assign(mobilenet_v2, "BLOCK_AFTER_LEVEL_4", 5)


def shorten_resnet(patch: pytest.MonkeyPatch) -> None:
    """ResNet50, as long as the patch lasts."""
    patch.setitem(resnet.BLOCKS, 50, (1, 1, 1, 1))
    name = "faster_rcnn_resnet50_keras"
    patch.setitem(faster_rcnn.BACKBONES, name, faster_rcnn.resnet_of_two_halves(50))
