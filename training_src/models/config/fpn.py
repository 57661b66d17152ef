# SPDX-License-Identifier: Apache-2.0
"""`fpn.proto`: feature pyramids."""

from dataclasses import dataclass
from typing import ClassVar, Literal

# The coarsest of a backbone.
TOP_LEVEL = 5


@dataclass(frozen=True, kw_only=True)
class FeaturePyramidNetworks:
    # The same numbers either way: nearest neighbours, twice as large.
    ACCEPTED: ClassVar = frozenset({"use_native_resize_op"})
    min_level: int = 3
    max_level: int = 7
    additional_layer_depth: int = 256


@dataclass(frozen=True, kw_only=True)
class BidirectionalFeaturePyramidNetworks:
    min_level: int = 3
    max_level: int = 7
    num_iterations: int
    num_filters: int
    combine_method: Literal["fast_attention", "attention", "weighted_sum", "sum"] = "fast_attention"
