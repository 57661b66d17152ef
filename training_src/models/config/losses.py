# SPDX-License-Identifier: Apache-2.0
"""`losses.proto`."""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class WeightedSmoothL1:
    ACCEPTED: ClassVar = frozenset({"anchorwise_output"})
    delta: float = 1.0


@dataclass(frozen=True, kw_only=True)
class LocalizationLoss:
    weighted_smooth_l1: WeightedSmoothL1


@dataclass(frozen=True, kw_only=True)
class WeightedSigmoidFocal:
    ACCEPTED: ClassVar = frozenset({"anchorwise_output"})
    gamma: float = 2.0
    alpha: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClassificationLoss:
    weighted_sigmoid_focal: WeightedSigmoidFocal


@dataclass(frozen=True, kw_only=True)
class Loss:
    ACCEPTED: ClassVar = frozenset({"min_num_negative_samples", "desired_negative_sampling_ratio"})
    localization_loss: LocalizationLoss
    classification_loss: ClassificationLoss
    classification_weight: float = 1.0
    localization_weight: float = 1.0
    expected_loss_weights: Literal["NONE"] = "NONE"
