# SPDX-License-Identifier: Apache-2.0
"""`box_coder.proto`, `matcher.proto` and `region_similarity_calculator.proto`."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class FasterRcnnBoxCoder:
    y_scale: float = 10.0
    x_scale: float = 10.0
    height_scale: float = 5.0
    width_scale: float = 5.0


@dataclass(frozen=True, kw_only=True)
class BoxCoder:
    faster_rcnn_box_coder: FasterRcnnBoxCoder


@dataclass(frozen=True, kw_only=True)
class ArgMaxMatcher:
    ACCEPTED: ClassVar = frozenset({"use_matmul_gather"})
    matched_threshold: float = 0.5
    unmatched_threshold: float = 0.5
    ignore_thresholds: bool = False
    negatives_lower_than_unmatched: bool = True
    force_match_for_each_row: bool = False


@dataclass(frozen=True, kw_only=True)
class Matcher:
    argmax_matcher: ArgMaxMatcher


@dataclass(frozen=True, kw_only=True)
class IouSimilarity:
    pass


@dataclass(frozen=True, kw_only=True)
class SimilarityCalculator:
    iou_similarity: IouSimilarity
