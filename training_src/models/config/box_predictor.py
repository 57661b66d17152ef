# SPDX-License-Identifier: Apache-2.0
"""`box_predictor.proto`, as far as single-shot detectors need it."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from training_src.models.config.decoding import only
from training_src.models.config.hyperparams import ConvHyperparams


@dataclass(frozen=True, kw_only=True)
class BoxEncodingsClipRange:
    min: float
    max: float


@dataclass(frozen=True, kw_only=True)
class ConvolutionalBoxPredictor:
    conv_hyperparams: ConvHyperparams = field(default_factory=ConvHyperparams)
    min_depth: int = 0
    max_depth: int = 0
    num_layers_before_predictor: int = 0
    use_dropout: bool = True
    dropout_keep_probability: float = 0.8
    kernel_size: int = 1
    box_code_size: int = only(4)
    apply_sigmoid_to_scores: bool = only(False)
    class_prediction_bias_init: float = 0.0
    use_depthwise: bool = False
    box_encodings_clip_range: BoxEncodingsClipRange | None = None


@dataclass(frozen=True, kw_only=True)
class WeightSharedConvolutionalBoxPredictor:
    conv_hyperparams: ConvHyperparams = field(default_factory=ConvHyperparams)
    apply_conv_hyperparams_to_heads: bool = False
    apply_conv_hyperparams_pointwise: bool = False
    num_layers_before_predictor: int = 0
    depth: int = 0
    kernel_size: int = 3
    box_code_size: int = only(4)
    class_prediction_bias_init: float = 0.0
    use_dropout: bool = False
    dropout_keep_probability: float = 0.8
    share_prediction_tower: bool = False
    use_depthwise: bool = False
    score_converter: Literal["IDENTITY"] = "IDENTITY"
    box_encodings_clip_range: BoxEncodingsClipRange | None = None


@dataclass(frozen=True, kw_only=True)
class BoxPredictor:
    ONE_OF: ClassVar = True
    convolutional_box_predictor: ConvolutionalBoxPredictor | None = None
    weight_shared_convolutional_box_predictor: WeightSharedConvolutionalBoxPredictor | None = None
