# SPDX-License-Identifier: Apache-2.0
"""`box_predictor.proto`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from training_src.models.config.decoding import only
from training_src.models.config.hyperparams import ConvHyperparams


@dataclass(frozen=True, kw_only=True)
class WeightSharedConvolutionalBoxPredictor:
    ACCEPTED: ClassVar = frozenset({"dropout_keep_probability"})
    conv_hyperparams: ConvHyperparams
    apply_conv_hyperparams_to_heads: bool = only(False)
    apply_conv_hyperparams_pointwise: bool = only(False)
    num_layers_before_predictor: int = 0
    depth: int = 0
    kernel_size: int = 3
    box_code_size: int = only(4)
    class_prediction_bias_init: float = 0.0
    use_dropout: bool = only(False)
    share_prediction_tower: bool = False
    use_depthwise: bool = False
    score_converter: Literal["IDENTITY"] = "IDENTITY"


@dataclass(frozen=True, kw_only=True)
class BoxPredictor:
    weight_shared_convolutional_box_predictor: WeightSharedConvolutionalBoxPredictor
