# SPDX-License-Identifier: Apache-2.0
"""`ssd.proto`."""

from dataclasses import dataclass, field, fields
from functools import partial
from itertools import pairwise
from typing import ClassVar, Literal

from training_src.models.config.anchors import AnchorGenerator
from training_src.models.config.box_predictor import BoxPredictor
from training_src.models.config.decoding import only
from training_src.models.config.extractors import refusal
from training_src.models.config.fpn import TOP_LEVEL, BidirectionalFeaturePyramidNetworks, FeaturePyramidNetworks
from training_src.models.config.hyperparams import ConvHyperparams
from training_src.models.config.image_resizer import ImageResizer, resized_shape
from training_src.models.config.losses import Loss
from training_src.models.config.matching import BoxCoder, Matcher, SimilarityCalculator
from training_src.models.config.post_processing import PostProcessing
from training_src.models.errors import ConfigError


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
    conv_hyperparams: ConvHyperparams = field(default_factory=ConvHyperparams)
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
    post_processing: PostProcessing = field(default_factory=PostProcessing)
    normalize_loss_by_num_matches: bool = True
    normalize_loc_loss_by_codesize: bool = False
    loss: Loss
    freeze_batchnorm: bool = False
    add_background_class: bool = True
    explicit_background_class: bool = only(False)
    use_confidences_as_targets: bool = only(False)
    implicit_example_weight: float = only(1.0)

    def check(self) -> None:
        """Look at what fields say together; each by itself is within its limits.

        Raises:
            ConfigError: If parts contradict each other, or the maps cannot have the images' size.
        """
        _check(self)


def _check(config: Ssd) -> None:
    loss = config.loss
    if loss.hard_example_miner and loss.classification_loss.weighted_sigmoid_focal:
        raise ConfigError(
            "model.ssd.loss: hard_example_miner does not go with weighted_sigmoid_focal; remove one of them"
        )
    if not config.add_background_class and not config.encode_background_as_zeros:
        raise ConfigError(
            "model.ssd: add_background_class is false, so encode_background_as_zeros must be true; set it"
        )
    multiscale = config.anchor_generator.multiscale_anchor_generator
    if multiscale and not multiscale.aspect_ratios:
        raise ConfigError("model.ssd.anchor_generator.multiscale_anchor_generator: aspect_ratios is not set; set it")
    if config.feature_extractor.type.endswith(("_fpn_keras", "_bifpn_keras")):
        _check_input_of_pyramid(config)
    if config.feature_extractor.type.endswith("_fpn_keras"):
        _check_pyramid(config)
    least = 129 if "resnet" in config.feature_extractor.type else 33
    size = resized_shape(config.image_resizer)
    if size is not None and min(size) < least:
        raise ConfigError(
            f"model.ssd.image_resizer: {size[0]}x{size[1]} is too small, "
            f"{config.feature_extractor.type} needs at least {least} pixels"
        )


def _check_input_of_pyramid(config: Ssd) -> None:
    """Images of any size: their maps would clash at the first one whose sides do not halve often enough."""
    extractor, resizer = config.feature_extractor, config.image_resizer
    multiple = 2 ** (extractor.bifpn.max_level if extractor.bifpn else min(extractor.fpn.max_level, TOP_LEVEL))
    padded = resizer.pad_to_multiple_resizer.multiple if resizer.pad_to_multiple_resizer else 1
    if resized_shape(resizer) is not None or not (extractor.pad_to_multiple % multiple and padded % multiple):
        return
    name = next(item.name for item in fields(resizer) if getattr(resizer, item.name))
    raise ConfigError(
        f"model.ssd.image_resizer: {name} leaves images of different sizes, and {extractor.type} joins maps of which "
        f"each must be twice the next; take fixed_shape_resizer or pad_to_max_dimension: true, or set the feature "
        f"extractor's pad_to_multiple: {multiple}"
    )


def _check_pyramid(config: Ssd) -> None:
    levels, anchors = config.feature_extractor.fpn, config.anchor_generator.multiscale_anchor_generator
    if anchors and (levels.min_level, levels.max_level) != (anchors.min_level, anchors.max_level):
        raise ConfigError(
            f"model.ssd: fpn has levels {levels.min_level} to {levels.max_level}, but the anchor generator "
            f"{anchors.min_level} to {anchors.max_level}; give both the same"
        )
    if not 2 <= levels.min_level <= 5 or levels.max_level < levels.min_level:
        raise ConfigError(
            f"model.ssd.feature_extractor.fpn: levels {levels.min_level} to {levels.max_level} do not exist"
        )
    height, width = resized_shape(config.image_resizer) or (0, 0)
    multiple = config.feature_extractor.pad_to_multiple
    for side in (height, width):
        padded = -(-side // multiple) * multiple
        sizes = [-(-padded // 2**level) for level in range(levels.min_level, min(levels.max_level, 5) + 1)]
        if any(fine != 2 * coarse for fine, coarse in pairwise(sizes)):
            raise ConfigError(
                f"model.ssd.image_resizer: {height}x{width} gives maps of {', '.join(map(str, sizes))} pixels, but "
                "each must be twice the next; use multiples of 32, or set pad_to_multiple"
            )
