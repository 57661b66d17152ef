# SPDX-License-Identifier: Apache-2.0
"""MobileNet V2 with one block of each kind instead of up to four: to trace a step takes as long as there are layers."""

from collections.abc import Callable
from typing import Any

from training_src.models.feature_extractors import mobilenet_v2


def shorten_mobilenet(assign: Callable[[Any, str, Any], None] = setattr) -> None:
    """From now on in this process, or for as long as what is assigned lasts."""
    blocks = tuple((expansion, channels, 1, strides) for expansion, channels, _, strides in mobilenet_v2.BLOCKS)
    assign(mobilenet_v2, "BLOCKS", blocks)
    assign(mobilenet_v2, "LEVEL_OF_BLOCK", {1: 2, 2: 3, 4: 4})
    assign(mobilenet_v2, "BLOCK_AFTER_LEVEL_4", 5)
