# SPDX-License-Identifier: Apache-2.0
"""The OD API's `pipeline.config` as typed dataclasses, with the defaults of its protos.

Fields carry the names of `object_detection/protos/*.proto`. A field that is not declared here is an error
that names it and its value; one that does not change what is computed here is declared as accepted.
"""

import hashlib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from training_src.models.errors import ConfigError
from training_src.models.text_format import Identifier, Message, Value, dump, parse

T = TypeVar("T")
CONFIGS = Path(__file__).parent / "configs"


def only(value: Any) -> Any:
    """A field with this default, of which no other value is supported."""
    return field(default=value, metadata={"only": value})


@dataclass(frozen=True, kw_only=True)
class FixedShapeResizer:
    height: int = 300
    width: int = 300
    resize_method: Literal["BILINEAR"] = "BILINEAR"
    convert_to_grayscale: bool = only(False)


@dataclass(frozen=True, kw_only=True)
class ImageResizer:
    fixed_shape_resizer: FixedShapeResizer


@dataclass(frozen=True, kw_only=True)
class L2Regularizer:
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Regularizer:
    l2_regularizer: L2Regularizer


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
    ONE_OF: ClassVar = True
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
    regularizer: Regularizer
    initializer: Initializer
    activation: Literal["NONE", "RELU", "RELU_6"] = "RELU"
    batch_norm: BatchNorm
    force_use_bias: bool = only(False)


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
    ignore_thresholds: bool = only(False)
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


@dataclass(frozen=True, kw_only=True)
class MultiscaleAnchorGenerator:
    min_level: int = 3
    max_level: int = 7
    anchor_scale: float = 4.0
    aspect_ratios: tuple[float, ...] = ()
    scales_per_octave: int = 2
    normalize_coordinates: bool = only(True)


@dataclass(frozen=True, kw_only=True)
class AnchorGenerator:
    multiscale_anchor_generator: MultiscaleAnchorGenerator


@dataclass(frozen=True, kw_only=True)
class BatchNonMaxSuppression:
    ACCEPTED: ClassVar = frozenset({"use_static_shapes", "use_combined_nms", "use_hard_nms", "use_cpu_nms"})
    score_threshold: float = 0.0
    iou_threshold: float = 0.6
    max_detections_per_class: int = 100
    max_total_detections: int = 100
    use_class_agnostic_nms: bool = only(False)
    max_classes_per_detection: int = only(1)
    soft_nms_sigma: float = only(0.0)
    use_partitioned_nms: bool = only(False)
    change_coordinate_frame: bool = only(True)


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    batch_non_max_suppression: BatchNonMaxSuppression
    score_converter: Literal["SIGMOID"]
    logit_scale: float = only(1.0)


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


@dataclass(frozen=True, kw_only=True)
class Model:
    ssd: Ssd


@dataclass(frozen=True, kw_only=True)
class RandomHorizontalFlip:
    probability: float = 0.5


@dataclass(frozen=True, kw_only=True)
class RandomCropImage:
    min_object_covered: float = 1.0
    min_aspect_ratio: float = 0.75
    max_aspect_ratio: float = 1.33
    min_area: float = 0.1
    max_area: float = 1.0
    overlap_thresh: float = 0.3
    clip_boxes: bool = True
    random_coef: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RandomScaleCropAndPadToSquare:
    output_size: int = 512
    scale_min: float = 0.1
    scale_max: float = 2.0


@dataclass(frozen=True, kw_only=True)
class RandomAdjustBrightness:
    max_delta: float = 0.2


@dataclass(frozen=True, kw_only=True)
class RandomAdjustContrast:
    min_delta: float = 0.8
    max_delta: float = 1.25


@dataclass(frozen=True, kw_only=True)
class RandomAdjustHue:
    max_delta: float = 0.02


@dataclass(frozen=True, kw_only=True)
class RandomAdjustSaturation:
    min_delta: float = 0.8
    max_delta: float = 1.25


@dataclass(frozen=True, kw_only=True)
class PreprocessingStep:
    """One `data_augmentation_options`."""

    ONE_OF: ClassVar = True
    random_horizontal_flip: RandomHorizontalFlip | None = None
    random_crop_image: RandomCropImage | None = None
    random_scale_crop_and_pad_to_square: RandomScaleCropAndPadToSquare | None = None
    random_adjust_brightness: RandomAdjustBrightness | None = None
    random_adjust_contrast: RandomAdjustContrast | None = None
    random_adjust_hue: RandomAdjustHue | None = None
    random_adjust_saturation: RandomAdjustSaturation | None = None


@dataclass(frozen=True, kw_only=True)
class ConstantLearningRate:
    learning_rate: float = 0.002


@dataclass(frozen=True, kw_only=True)
class CosineDecayLearningRate:
    learning_rate_base: float = 0.002
    total_steps: int = 4_000_000
    warmup_learning_rate: float = 0.0002
    warmup_steps: int = 10_000
    hold_base_rate_steps: int = 0


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    ONE_OF: ClassVar = True
    constant_learning_rate: ConstantLearningRate | None = None
    cosine_decay_learning_rate: CosineDecayLearningRate | None = None


@dataclass(frozen=True, kw_only=True)
class MomentumOptimizer:
    learning_rate: LearningRate
    momentum_optimizer_value: float = 0.9


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    ACCEPTED: ClassVar = frozenset({"moving_average_decay"})
    momentum_optimizer: MomentumOptimizer
    use_moving_average: Literal[False]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    ACCEPTED: ClassVar = frozenset(
        {
            "sync_replicas",
            "keep_checkpoint_every_n_hours",
            "fine_tune_checkpoint_version",
            "load_all_detection_checkpoint_vars",
            "run_fine_tune_checkpoint_dummy_computation",
            "startup_delay_steps",
            "replicas_to_aggregate",
            "batch_queue_capacity",
            "num_batch_queue_threads",
            "prefetch_queue_capacity",
            "unpad_groundtruth_tensors",
            "retain_original_images",
            "use_bfloat16",
            "summarize_gradients",
        }
    )
    batch_size: int = 32
    data_augmentation_options: tuple[PreprocessingStep, ...] = ()
    optimizer: Optimizer
    gradient_clipping_by_norm: float = 0.0
    fine_tune_checkpoint: str = ""
    fine_tune_checkpoint_type: Literal["", "classification", "detection", "full"] = ""
    from_detection_checkpoint: bool = only(False)
    num_steps: int = 0
    bias_grad_multiplier: float = only(0.0)
    merge_multiple_label_boxes: bool = only(False)
    use_multiclass_scores: bool = only(False)
    add_regularization_loss: bool = True
    max_number_of_boxes: int = 100


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """A whole `pipeline.config`. The readers and the evaluation are the pipeline's own, fed through channels."""

    ACCEPTED: ClassVar = frozenset({"train_input_reader", "eval_input_reader", "eval_config"})
    model: Model
    train_config: TrainConfig


@dataclass(frozen=True)
class PipelineDescription:
    """A parsed `pipeline.config` with the message from which it came.

    Attributes:
        config: The typed fields.
        message: The text's message, changes applied: what goes into the artifact.
        source: The file's name, or the bundled architecture's.
    """

    config: PipelineConfig
    message: Message
    source: str

    def text(self) -> str:
        """The description as text protobuf."""
        return dump(self.message)

    def digest(self) -> str:
        """sha256 of the description; layout and comments do not count."""
        return hashlib.sha256(self.text().encode()).hexdigest()


def bundled_architectures() -> list[str]:
    """The names that `--architecture` takes."""
    return sorted(path.stem for path in CONFIGS.glob("*.config"))


def load_bundled(architecture: str, num_classes: int) -> PipelineDescription:
    """The bundled config of an architecture, for a label map whose greatest id is `num_classes`.

    Raises:
        ConfigError: If there is no such architecture.
    """
    path = CONFIGS / f"{architecture}.config"
    if architecture not in bundled_architectures():
        known = ", ".join(bundled_architectures())
        raise ConfigError(f"architecture {architecture!r} is not known: choose {known}, or give a pipeline.config")
    message = parse(path.read_text(), path.name)
    _only_message(_only_message(message, "model"), "ssd")["num_classes"] = [num_classes]
    return PipelineDescription(decode(PipelineConfig, message), message, architecture)


def load(path: Path, num_classes: int) -> PipelineDescription:
    """A user's own `pipeline.config`, for a label map whose greatest id is `num_classes`.

    Raises:
        ConfigError: If a field is not supported, or the config has fewer classes than the label map needs.
        TextFormatError: If the file is not text protobuf.
    """
    message = parse(path.read_text(), path.name)
    config = decode(PipelineConfig, message)
    configured = config.model.ssd.num_classes
    if configured < num_classes:
        raise ConfigError(
            f"{path.name}: num_classes is {configured}, but the label map's greatest id is {num_classes}; "
            f"set num_classes: {num_classes} (ids may have gaps, the class count must reach the greatest)"
        )
    return PipelineDescription(config, message, path.name)


def with_num_steps(description: PipelineDescription, num_steps: int) -> PipelineDescription:
    """The same description trained for `num_steps` steps, the learning rate's schedule scaled to that length.

    Where the config does not say for how many steps it was made, its schedule stays as it is.
    """
    config = description.config
    if num_steps == config.train_config.num_steps:
        return description
    ratio = num_steps / (config.train_config.num_steps or num_steps)
    message = parse(description.text())
    train_config = _only_message(message, "train_config")
    train_config["num_steps"] = [num_steps]
    rate = _only_message(_only_message(_only_message(train_config, "optimizer"), "momentum_optimizer"), "learning_rate")
    cosine = config.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    if cosine is not None:
        schedule = _only_message(rate, "cosine_decay_learning_rate")
        for name in ("total_steps", "warmup_steps", "hold_base_rate_steps"):
            schedule[name] = [int(getattr(cosine, name) * ratio)]
    return replace(description, config=decode(PipelineConfig, message), message=message)


def decode(kind: type[T], message: Message, path: str = "") -> T:
    """Fill a dataclass from a message.

    Args:
        kind: One of this module's dataclasses.
        message: Its fields as parsed.
        path: Where the message stands, for errors: `model.ssd`.

    Raises:
        ConfigError: If a field is unknown, unsupported, of the wrong type, or missing.
    """
    declared = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    accepted: frozenset[str] = getattr(kind, "ACCEPTED", frozenset())
    values: dict[str, Any] = {}
    for name, given in message.items():
        place = f"{path}.{name}" if path else name
        if name in accepted:
            continue
        if name not in declared:
            raise ConfigError(
                f"{place}: {_shown(given[-1])} is not supported; remove the field, or use another architecture"
            )
        values[name] = _field(hints[name], given, place)
        allowed = declared[name].metadata.get("only", values[name])
        if values[name] != allowed:
            raise ConfigError(f"{place}: {_shown(given[-1])} is not supported, only {_shown(allowed)} is")
    _check_complete(kind, values, path)
    return kind(**values)


def _check_complete(kind: type[Any], values: Mapping[str, Any], path: str) -> None:
    place = path or "pipeline.config"
    if getattr(kind, "ONE_OF", False) and len(values) != 1:
        choices = ", ".join(item.name for item in fields(kind))
        raise ConfigError(f"{place}: exactly one of {choices} must be set, not {len(values)}")
    for item in fields(kind):
        required = item.default is item.default_factory  # both are dataclasses.MISSING
        if required and item.name not in values:
            wanted = typing.get_type_hints(kind)[item.name]
            hint = f" ({', '.join(_shown(v) for v in typing.get_args(wanted))})" if _is_literal(wanted) else ""
            raise ConfigError(f"{place}: {item.name} is not set, and its default is not supported{hint}")


def _field(hint: Any, given: list[Value], place: str) -> Any:
    if typing.get_origin(hint) is tuple:
        element = typing.get_args(hint)[0]
        return tuple(_single(element, value, f"{place}[{index}]") for index, value in enumerate(given))
    if isinstance(hint, types.UnionType):
        hint = next(choice for choice in typing.get_args(hint) if choice is not type(None))
    return _single(hint, given[-1], place)


def _single(hint: Any, value: Value, place: str) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, Message):
            raise ConfigError(f"{place}: {_shown(value)} stands where a message {{ ... }} is expected")
        return decode(hint, value, place)  # type: ignore[arg-type]
    if _is_literal(hint):
        plain = {"true": True, "false": False}.get(value, value) if isinstance(value, Identifier) else value
        if plain not in typing.get_args(hint):
            allowed = ", ".join(_shown(choice) for choice in typing.get_args(hint))
            raise ConfigError(f"{place}: {_shown(value)} is not supported, only {allowed}")
        return str(plain) if isinstance(plain, str) else plain
    return _scalar(hint, value, place)


def _scalar(hint: type, value: Value, place: str) -> bool | int | float | str:
    if hint is bool and isinstance(value, Identifier) and value in ("true", "false"):
        return value == "true"
    if hint is int and isinstance(value, int):
        return value
    if hint is float and isinstance(value, int | float):
        return float(value)
    if hint is str and isinstance(value, str) and not isinstance(value, Identifier):
        return value
    raise ConfigError(f"{place}: {_shown(value)} is no {hint.__name__}")


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is Literal


def _shown(value: object) -> str:
    if isinstance(value, Message):
        text = " ".join(dump(value).split())
        return "{ " + (text if len(text) <= 60 else text[:57] + "...") + " }"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, Identifier) else repr(value)


def _only_message(parent: Message, name: str) -> Message:
    value = parent[name][-1]
    if not isinstance(value, Message):
        raise ConfigError(f"{name}: {_shown(value)} stands where a message {{ ... }} is expected")
    return value
