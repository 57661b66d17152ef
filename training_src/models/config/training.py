# SPDX-License-Identifier: Apache-2.0
"""`train.proto` and `optimizer.proto`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from training_src.models.config.augmentation import PreprocessingStep
from training_src.models.config.decoding import only


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
