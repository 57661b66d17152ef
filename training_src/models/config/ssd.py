# SPDX-License-Identifier: Apache-2.0
"""`ssd.proto`."""

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal

from training_src.models.config.anchors import AnchorGenerator
from training_src.models.config.box_predictor import BoxPredictor
from training_src.models.config.decoding import only
from training_src.models.config.extractors import refusal
from training_src.models.config.fpn import BidirectionalFeaturePyramidNetworks, FeaturePyramidNetworks
from training_src.models.config.hyperparams import ConvHyperparams
from training_src.models.config.image_resizer import ImageResizer
from training_src.models.config.losses import Loss
from training_src.models.config.matching import BoxCoder, Matcher, SimilarityCalculator
from training_src.models.config.post_processing import PostProcessing


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    ACCEPTED: ClassVar = frozenset({"spaghettinet_arch_name"})
    REFUSALS: ClassVar = {"type": partial(refusal, family="ssd")}
    type: Literal[
        "ssd_mobilenet_v1_keras",
        "ssd_mobilenet_v1_fpn_keras",
        "ssd_mobilenet_v2_keras",
        "ssd_mobilenet_v2_fpn_keras",
        "ssd_resnet50_v1_fpn_keras",
        "ssd_resnet101_v1_fpn_keras",
        "ssd_resnet152_v1_fpn_keras",
        "ssd_efficientnet-b0_bifpn_keras",
        "ssd_efficientnet-b1_bifpn_keras",
        "ssd_efficientnet-b2_bifpn_keras",
        "ssd_efficientnet-b3_bifpn_keras",
        "ssd_efficientnet-b4_bifpn_keras",
        "ssd_efficientnet-b5_bifpn_keras",
        "ssd_efficientnet-b6_bifpn_keras",
        "ssd_efficientnet-b7_bifpn_keras",
    ]
    depth_multiplier: float = 1.0
    min_depth: int = 16
    conv_hyperparams: ConvHyperparams
    override_base_feature_extractor_hyperparams: bool = False
    pad_to_multiple: int = 1
    use_explicit_padding: bool = only(False)
    use_depthwise: bool = False
    num_layers: int = 6
    fpn: FeaturePyramidNetworks = field(default_factory=FeaturePyramidNetworks)
    bifpn: BidirectionalFeaturePyramidNetworks | None = None
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
    encode_background_as_zeros: bool = False
    negative_class_weight: float = 1.0
    box_predictor: BoxPredictor
    anchor_generator: AnchorGenerator
    post_processing: PostProcessing
    normalize_loss_by_num_matches: bool = True
    normalize_loc_loss_by_codesize: bool = False
    loss: Loss
    freeze_batchnorm: bool = False
    add_background_class: bool = True
    explicit_background_class: bool = only(False)
    use_confidences_as_targets: bool = only(False)
    implicit_example_weight: float = only(1.0)
