# SPDX-License-Identifier: Apache-2.0
"""`losses.proto`."""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class WeightedL2:
    ACCEPTED: ClassVar = frozenset({"anchorwise_output"})


@dataclass(frozen=True, kw_only=True)
class WeightedSmoothL1:
    ACCEPTED: ClassVar = frozenset({"anchorwise_output"})
    delta: float = 1.0


@dataclass(frozen=True, kw_only=True)
class WeightedIou:
    pass


@dataclass(frozen=True, kw_only=True)
class LocalizationLoss:
    ONE_OF: ClassVar = True
    weighted_l2: WeightedL2 | None = None
    weighted_smooth_l1: WeightedSmoothL1 | None = None
    weighted_iou: WeightedIou | None = None


@dataclass(frozen=True, kw_only=True)
class WeightedSigmoid:
    ACCEPTED: ClassVar = frozenset({"anchorwise_output"})


@dataclass(frozen=True, kw_only=True)
class WeightedSigmoidFocal:
    ACCEPTED: ClassVar = frozenset({"anchorwise_output"})
    gamma: float = 2.0
    alpha: float | None = None


@dataclass(frozen=True, kw_only=True)
class WeightedSoftmax:
    ACCEPTED: ClassVar = frozenset({"anchorwise_output"})
    logit_scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class BootstrappedSigmoid:
    ACCEPTED: ClassVar = frozenset({"anchorwise_output"})
    alpha: float
    hard_bootstrap: bool = False


@dataclass(frozen=True, kw_only=True)
class ClassificationLoss:
    ONE_OF: ClassVar = True
    weighted_sigmoid: WeightedSigmoid | None = None
    weighted_softmax: WeightedSoftmax | None = None
    weighted_logits_softmax: WeightedSoftmax | None = None
    bootstrapped_sigmoid: BootstrappedSigmoid | None = None
    weighted_sigmoid_focal: WeightedSigmoidFocal | None = None


@dataclass(frozen=True, kw_only=True)
class HardExampleMiner:
    num_hard_examples: int = 64
    iou_threshold: float = 0.7
    loss_type: Literal["BOTH", "CLASSIFICATION", "LOCALIZATION"] = "BOTH"
    max_negatives_per_positive: int = 0
    min_negatives_per_image: int = 0


@dataclass(frozen=True, kw_only=True)
class Loss:
    ACCEPTED: ClassVar = frozenset({"min_num_negative_samples", "desired_negative_sampling_ratio"})
    localization_loss: LocalizationLoss
    classification_loss: ClassificationLoss
    hard_example_miner: HardExampleMiner | None = None
    classification_weight: float = 1.0
    localization_weight: float = 1.0
    expected_loss_weights: Literal["NONE"] = "NONE"
