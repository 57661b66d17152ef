# SPDX-License-Identifier: Apache-2.0
"""`hyperparams.proto`: how convolutions are initialised, regularised, normalised and activated."""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class WeightRegularizer:
    weight: float = 1.0


# Both have the one field.
L1Regularizer = WeightRegularizer
L2Regularizer = WeightRegularizer


@dataclass(frozen=True, kw_only=True)
class Regularizer:
    """No regulariser where neither is set."""

    ONE_OF: ClassVar = True
    MAY_BE_EMPTY: ClassVar = True
    l1_regularizer: L1Regularizer | None = None
    l2_regularizer: L2Regularizer | None = None


@dataclass(frozen=True, kw_only=True)
class NormalInitializer:
    mean: float = 0.0
    stddev: float = 1.0


@dataclass(frozen=True, kw_only=True)
class VarianceScalingInitializer:
    factor: float = 2.0
    uniform: bool = False
    mode: Literal["FAN_IN", "FAN_OUT", "FAN_AVG"] = "FAN_IN"


@dataclass(frozen=True, kw_only=True)
class Initializer:
    """Keras's own, where none is set."""

    ONE_OF: ClassVar = True
    MAY_BE_EMPTY: ClassVar = True
    truncated_normal_initializer: NormalInitializer | None = None
    random_normal_initializer: NormalInitializer | None = None
    variance_scaling_initializer: VarianceScalingInitializer | None = None


@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    ACCEPTED: ClassVar = frozenset({"train"})
    decay: float = 0.999
    center: bool = True
    scale: bool = False
    epsilon: float = 0.001


@dataclass(frozen=True, kw_only=True)
class ConvHyperparams:
    ACCEPTED: ClassVar = frozenset({"regularize_depthwise"})
    op: Literal["CONV"] = "CONV"
    regularizer: Regularizer | None = None
    initializer: Initializer | None = None
    activation: Literal["NONE", "RELU", "RELU_6", "SWISH"] = "RELU"
    batch_norm: BatchNorm | None = None
    sync_batch_norm: BatchNorm | None = None
    force_use_bias: bool = False
