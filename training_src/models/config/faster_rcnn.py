# SPDX-License-Identifier: Apache-2.0
"""`faster_rcnn.proto`, and `box_predictor.proto` as far as its second stage needs it."""

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal

from training_src.models.config.anchors import AnchorGenerator
from training_src.models.config.decoding import only
from training_src.models.config.extractors import refusal
from training_src.models.config.fpn import TOP_LEVEL, FeaturePyramidNetworks
from training_src.models.config.hyperparams import BatchNorm, ConvHyperparams
from training_src.models.config.image_resizer import ImageResizer
from training_src.models.config.losses import ClassificationLoss, HardExampleMiner
from training_src.models.config.post_processing import PostProcessing
from training_src.models.errors import ConfigError

PLACE = "model.faster_rcnn"


@dataclass(frozen=True, kw_only=True)
class FasterRcnnFeatureExtractor:
    """`conv_hyperparams`, its override and `fpn` count only where there is a pyramid.

    The API hands no `pad_to_multiple` on: images of a pyramid are padded to multiples of 32.
    """

    ACCEPTED: ClassVar = frozenset({"pad_to_multiple"})
    REFUSALS: ClassVar = {"type": partial(refusal, family="faster_rcnn")}
    type: Literal[
        "faster_rcnn_resnet50_keras",
        "faster_rcnn_resnet101_keras",
        "faster_rcnn_resnet152_keras",
        "faster_rcnn_inception_resnet_v2_keras",
        "faster_rcnn_resnet50_fpn_keras",
        "faster_rcnn_resnet101_fpn_keras",
        "faster_rcnn_resnet152_fpn_keras",
    ]
    first_stage_features_stride: Literal[8, 16] = 16
    batch_norm_trainable: bool = False
    conv_hyperparams: ConvHyperparams | None = None
    override_base_feature_extractor_hyperparams: bool = False
    # Without it levels 2 to 6, which are not the message's own defaults.
    fpn: FeaturePyramidNetworks = field(default_factory=partial(FeaturePyramidNetworks, min_level=2, max_level=6))

    @property
    def has_pyramid(self) -> bool:
        """Whether proposals and crops are made on several maps; their strides are the pyramid's."""
        return self.type.endswith("_fpn_keras")

    def __post_init__(self) -> None:
        place = f"{PLACE}.feature_extractor"
        if self.has_pyramid:
            self._check_pyramid(place)
        elif self.first_stage_features_stride == 8 and "inception_resnet_v2" not in self.type:
            raise ConfigError(f"{place}.first_stage_features_stride: 8 is not supported with {self.type}, only 16 is")

    def _check_pyramid(self, place: str) -> None:
        if self.conv_hyperparams is None:
            raise ConfigError(f"{place}: {self.type} needs conv_hyperparams for its pyramid; set it")
        least, greatest = self.fpn.min_level, self.fpn.max_level
        if not (2 <= least <= TOP_LEVEL <= greatest):
            raise ConfigError(
                f"{place}.fpn: levels {least} to {greatest} are not supported; min_level is one of 2 to 5, and "
                "max_level at least 5"
            )


@dataclass(frozen=True, kw_only=True)
class FcHyperparams:
    """The API's Keras heads take nothing from here but the batch norm: kernels are Keras's own, without a penalty."""

    ACCEPTED: ClassVar = frozenset(
        {"regularizer", "initializer", "activation", "regularize_depthwise", "force_use_bias"}
    )
    op: Literal["FC"] = "FC"
    batch_norm: BatchNorm | None = None


@dataclass(frozen=True, kw_only=True)
class MaskRcnnBoxPredictor:
    """Masks are not predicted; what describes them is accepted, see `legacy`."""

    ACCEPTED: ClassVar = frozenset(
        {
            "conv_hyperparams",
            "mask_prediction_conv_depth",
            "mask_height",
            "mask_width",
            "mask_prediction_num_conv_layers",
            "masks_are_class_agnostic",
            "convolve_then_upsample_masks",
        }
    )
    fc_hyperparams: FcHyperparams = field(default_factory=FcHyperparams)
    use_dropout: bool = False
    dropout_keep_probability: float = 0.5
    box_code_size: int = only(4)
    predict_instance_masks: bool = False
    predict_keypoints: bool = only(False)
    share_box_across_classes: bool = False


@dataclass(frozen=True, kw_only=True)
class SecondStageBoxPredictor:
    mask_rcnn_box_predictor: MaskRcnnBoxPredictor


@dataclass(frozen=True, kw_only=True)
class FasterRcnn:
    """The second stage's box predictor may be missing where `number_of_stages` is 1."""

    # Ways to the same numbers, and what belongs to masks.
    ACCEPTED: ClassVar = frozenset(
        {
            "second_stage_mask_prediction_loss_weight",
            "use_matmul_gather_in_matcher",
            "resize_masks",
            "use_static_shapes_for_eval",
            "use_partitioned_nms_in_first_stage",
            "use_combined_nms_in_first_stage",
            "return_raw_detections_during_predict",
        }
    )
    number_of_stages: Literal[1, 2, 3] = 2
    num_classes: int
    image_resizer: ImageResizer
    feature_extractor: FasterRcnnFeatureExtractor
    first_stage_anchor_generator: AnchorGenerator
    first_stage_atrous_rate: int = 1
    first_stage_box_predictor_conv_hyperparams: ConvHyperparams = field(default_factory=ConvHyperparams)
    first_stage_box_predictor_kernel_size: int = 3
    first_stage_box_predictor_depth: int = 512
    first_stage_minibatch_size: int = 256
    first_stage_positive_balance_fraction: float = 0.5
    first_stage_nms_score_threshold: float = 0.0
    first_stage_nms_iou_threshold: float = 0.7
    first_stage_max_proposals: int = 300
    first_stage_localization_loss_weight: float = 1.0
    first_stage_objectness_loss_weight: float = 1.0
    initial_crop_size: int = 0
    maxpool_kernel_size: int = 0
    maxpool_stride: int = 0
    second_stage_box_predictor: SecondStageBoxPredictor | None = None
    second_stage_batch_size: int = 64
    second_stage_balance_fraction: float = 0.25
    second_stage_post_processing: PostProcessing = field(default_factory=PostProcessing)
    second_stage_localization_loss_weight: float = 1.0
    second_stage_classification_loss_weight: float = 1.0
    hard_example_miner: HardExampleMiner | None = None
    second_stage_classification_loss: ClassificationLoss | None = None
    inplace_batchnorm_update: bool = only(False)
    use_matmul_crop_and_resize: bool = False
    clip_anchors_to_image: bool = False
    use_static_balanced_label_sampler: bool = False
    use_static_shapes: bool = False
    output_final_box_features: bool = only(False)
    output_final_box_rpn_features: bool = only(False)

    def check(self) -> None:
        """Look at what fields say together; each by itself is within its limits.

        Raises:
            ConfigError: If parts contradict each other.
        """
        self._check_anchors(f"{PLACE}.first_stage_anchor_generator")
        if self.number_of_stages > 1:
            self._check_second_stage()

    def _check_anchors(self, place: str) -> None:
        if self.feature_extractor.has_pyramid:
            self._check_anchors_of_pyramid(place)
            return
        grid = self.first_stage_anchor_generator.grid_anchor_generator
        if grid is None:
            raise ConfigError(f"{place}: only grid_anchor_generator is supported; use that")
        if not grid.scales or not grid.aspect_ratios:
            raise ConfigError(
                f"{place}.grid_anchor_generator: scales and aspect_ratios need a value each, "
                "or there are no anchors; set them"
            )

    def _check_anchors_of_pyramid(self, place: str) -> None:
        levels, anchors = self.feature_extractor.fpn, self.first_stage_anchor_generator.multiscale_anchor_generator
        kind = self.feature_extractor.type
        if anchors is None:
            raise ConfigError(f"{place}: only multiscale_anchor_generator is supported with {kind}; use that")
        place = f"{place}.multiscale_anchor_generator"
        if not anchors.aspect_ratios:
            raise ConfigError(f"{place}: aspect_ratios is not set; set it")
        if anchors.normalize_coordinates:
            raise ConfigError(f"{place}: first stages have anchors in pixels; set normalize_coordinates: false")
        if (levels.min_level, levels.max_level) != (anchors.min_level, anchors.max_level):
            raise ConfigError(
                f"{PLACE}: fpn has levels {levels.min_level} to {levels.max_level}, but the anchor generator "
                f"{anchors.min_level} to {anchors.max_level}; give both the same"
            )

    def _check_second_stage(self) -> None:
        if self.second_stage_box_predictor is None:
            raise ConfigError(f"{PLACE}: second_stage_box_predictor is not set; set it, or number_of_stages: 1")
        for name in ("initial_crop_size", "maxpool_kernel_size", "maxpool_stride"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{PLACE}: {name} is {getattr(self, name)}, but crops need at least 1; set it")
        if self.maxpool_kernel_size > self.initial_crop_size:
            raise ConfigError(
                f"{PLACE}: maxpool_kernel_size is {self.maxpool_kernel_size}, but crops have initial_crop_size, "
                f"{self.initial_crop_size}; lower it"
            )
