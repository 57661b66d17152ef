# SPDX-License-Identifier: Apache-2.0
"""`ssd.proto`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from training_src.models.config.anchors import AnchorGenerator
from training_src.models.config.box_predictor import BoxPredictor
from training_src.models.config.decoding import only
from training_src.models.config.hyperparams import ConvHyperparams
from training_src.models.config.image_resizer import ImageResizer
from training_src.models.config.losses import Loss
from training_src.models.config.matching import BoxCoder, Matcher, SimilarityCalculator
from training_src.models.config.post_processing import PostProcessing


@dataclass(frozen=True, kw_only=True)
class FeaturePyramidNetworks:
    min_level: int = 3
    max_level: int = 7
    additional_layer_depth: int = 256


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    ACCEPTED: ClassVar = frozenset({"num_layers", "spaghettinet_arch_name"})
    type: Literal["ssd_mobilenet_v2_fpn_keras"]
    depth_multiplier: float = 1.0
    min_depth: int = 16
    conv_hyperparams: ConvHyperparams
    override_base_feature_extractor_hyperparams: bool = False
    pad_to_multiple: int = only(1)
    use_explicit_padding: bool = only(False)
    use_depthwise: bool = False
    fpn: FeaturePyramidNetworks = FeaturePyramidNetworks()
    replace_preprocessor_with_placeholder: bool = only(False)


@dataclass(frozen=True, kw_only=True)
class Ssd:
    ACCEPTED: ClassVar = frozenset({"inplace_batchnorm_update", "return_raw_detections_during_predict"})
    num_classes: int
    image_resizer: ImageResizer
    feature_extractor: FeatureExtractor
    box_coder: BoxCoder
    matcher: Matcher
    similarity_calculator: SimilarityCalculator
    encode_background_as_zeros: Literal[True]
    negative_class_weight: float = only(1.0)
    box_predictor: BoxPredictor
    anchor_generator: AnchorGenerator
    post_processing: PostProcessing
    normalize_loss_by_num_matches: bool = True
    normalize_loc_loss_by_codesize: bool = False
    loss: Loss
    freeze_batchnorm: bool = False
    add_background_class: bool = only(True)
    explicit_background_class: bool = only(False)
    use_confidences_as_targets: bool = only(False)
    implicit_example_weight: float = only(1.0)
