# SPDX-License-Identifier: Apache-2.0
"""`train.proto` and `optimizer.proto`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import ClassVar

from training_src.models.config.augmentation import PreprocessingStep
from training_src.models.config.augmentation_order import check_order
from training_src.models.config.decoding import message_of, only
from training_src.models.errors import ConfigError
from training_src.text_format import Message


@dataclass(frozen=True, kw_only=True)
class ConstantLearningRate:
    learning_rate: float = 0.002


@dataclass(frozen=True, kw_only=True)
class ExponentialDecayLearningRate:
    initial_learning_rate: float = 0.002
    decay_steps: int = 4_000_000
    decay_factor: float = 0.95
    staircase: bool = True
    burnin_learning_rate: float = 0.0
    burnin_steps: int = 0
    min_learning_rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LearningRateSchedule:
    step: int = 0
    learning_rate: float = 0.002


@dataclass(frozen=True, kw_only=True)
class ManualStepLearningRate:
    initial_learning_rate: float = 0.002
    schedule: tuple[LearningRateSchedule, ...] = ()
    warmup: bool = False


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
    exponential_decay_learning_rate: ExponentialDecayLearningRate | None = None
    manual_step_learning_rate: ManualStepLearningRate | None = None
    cosine_decay_learning_rate: CosineDecayLearningRate | None = None


@dataclass(frozen=True, kw_only=True)
class MomentumOptimizer:
    """The proto's, and `nesterov`, which is ours: it stands in a config only where it is asked for."""

    learning_rate: LearningRate
    momentum_optimizer_value: float = 0.9
    nesterov: bool = False


@dataclass(frozen=True, kw_only=True)
class RmsPropOptimizer:
    learning_rate: LearningRate
    momentum_optimizer_value: float = 0.9
    decay: float = 0.9
    epsilon: float = 1.0


@dataclass(frozen=True, kw_only=True)
class AdamOptimizer:
    """The proto's, and the decays of the two moments, which are ours: the API has them fixed."""

    learning_rate: LearningRate
    epsilon: float = 1e-8
    beta_1: float = 0.9
    beta_2: float = 0.999

    def __post_init__(self) -> None:
        for name in ("beta_1", "beta_2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"adam_optimizer.{name}: {getattr(self, name)} is not supported; give a part below 1")


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """One of three optimizers, and whether the weights' moving averages are what is evaluated and exported."""

    rms_prop_optimizer: RmsPropOptimizer | None = None
    momentum_optimizer: MomentumOptimizer | None = None
    adam_optimizer: AdamOptimizer | None = None
    use_moving_average: bool = True
    moving_average_decay: float = 0.9999

    def __post_init__(self) -> None:
        if len(self._chosen()) != 1:
            raise ConfigError(
                "train_config.optimizer: exactly one of rms_prop_optimizer, momentum_optimizer, adam_optimizer "
                f"must be set, not {len(self._chosen())}"
            )
        check_schedule(self.learning_rate)

    @property
    def learning_rate(self) -> LearningRate:
        return self._chosen()[0].learning_rate

    def _chosen(self) -> list[RmsPropOptimizer | MomentumOptimizer | AdamOptimizer]:
        return [each for each in (self.rms_prop_optimizer, self.momentum_optimizer, self.adam_optimizer) if each]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    # What speaks of queues, summaries, TPUs and asynchronous replicas has no influence on what is computed here;
    # unpad_groundtruth_tensors changes the layout of the ground truth, and our losses do not count its padding.
    ACCEPTED: ClassVar = frozenset(
        {
            "sync_replicas",
            "keep_checkpoint_every_n_hours",
            "fine_tune_checkpoint_version",
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
    fine_tune_checkpoint_type: str = ""
    from_detection_checkpoint: bool = False
    load_all_detection_checkpoint_vars: bool = False
    num_steps: int = 0
    bias_grad_multiplier: float = 0.0
    update_trainable_variables: tuple[str, ...] = ()
    freeze_variables: tuple[str, ...] = ()
    merge_multiple_label_boxes: bool = only(False)
    use_multiclass_scores: bool = only(False)
    add_regularization_loss: bool = True
    max_number_of_boxes: int = 100

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_number_of_boxes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"train_config.{name}: {getattr(self, name)} is not supported; give 1 or more")
        check_order(self.data_augmentation_options)


def check_schedule(config: LearningRate) -> None:
    """Refuse what the API refuses.

    Raises:
        ConfigError: If a schedule contradicts itself.
    """
    cosine, manual = config.cosine_decay_learning_rate, config.manual_step_learning_rate
    if cosine and cosine.learning_rate_base < cosine.warmup_learning_rate:
        raise ConfigError(
            f"cosine_decay_learning_rate: warmup_learning_rate {cosine.warmup_learning_rate} is above "
            f"learning_rate_base {cosine.learning_rate_base}; lower it"
        )
    if cosine and cosine.total_steps < cosine.warmup_steps + cosine.hold_base_rate_steps:
        raise ConfigError(
            f"cosine_decay_learning_rate: total_steps {cosine.total_steps} is less than warmup_steps "
            f"{cosine.warmup_steps} and hold_base_rate_steps {cosine.hold_base_rate_steps}; raise it"
        )
    if manual is None:
        return
    steps = [entry.step for entry in manual.schedule]
    if not steps or steps[0] < 1 or any(later <= earlier for earlier, later in pairwise(steps)):
        raise ConfigError(
            f"manual_step_learning_rate: the schedule's steps are {steps}; give at least one, above 0 and ascending"
        )


def recommended_warm_up(num_steps: int) -> int:
    """How many steps of warm-up a training of this length should have at least."""
    return max(num_steps // 20, 1)


def scale_schedule(train_config: Message, ratio: float, num_steps: int) -> None:
    """Stretch the learning rate's schedule in a `train_config` message, fields that are not set by their defaults.

    A warm-up, which needs its steps however long the training is, shrinks to the recommended one and no further.

    Args:
        train_config: Changed in place.
        ratio: New length over old.
        num_steps: The new length.
    """
    schedule, message = _schedule_in(train_config)
    for name in STEP_FIELDS.get(schedule, ()):
        given = message[name][-1] if name in message else getattr(SCHEDULES[schedule], name)
        assert isinstance(given, int)
        warms_up = name in ("warmup_steps", "burnin_steps")
        shortest = min(given, recommended_warm_up(num_steps)) if warms_up else 0 if name.startswith("hold") else 1
        message[name] = [max(int(given * ratio), shortest)]
    if schedule == "cosine_decay_learning_rate":
        _fit_into_the_decay(message)
    if schedule == "manual_step_learning_rate":
        _scale_manual_steps(message, ratio, num_steps)


def drop_length(train_config: Message) -> None:
    """Take the number of steps out of a `train_config` message, and the end of a decay that is the training's."""
    steps = train_config.pop("num_steps", [0])[-1]
    schedule, message = _schedule_in(train_config)
    if schedule == "cosine_decay_learning_rate" and message.get("total_steps", [None])[-1] == steps:
        del message["total_steps"]


def scale_rates(train_config: Message, ratio: float) -> None:
    """Multiply every rate of the schedule in a `train_config` message, fields that are not set by their defaults."""
    schedule, message = _schedule_in(train_config)
    for field in fields(SCHEDULES[schedule]):
        if isinstance(field.default, float) and "rate" in field.name:
            given = message[field.name][-1] if field.name in message else field.default
            assert isinstance(given, int | float)
            message[field.name] = [given * ratio]
    for entry in message.get("schedule", []):
        assert isinstance(entry, Message)
        given = entry["learning_rate"][-1] if "learning_rate" in entry else LearningRateSchedule.learning_rate
        assert isinstance(given, int | float)
        entry["learning_rate"] = [given * ratio]


def _schedule_in(train_config: Message) -> tuple[str, Message]:
    """The name and the message of the optimizer's schedule."""
    optimizer = message_of(train_config, "optimizer")
    kind = next(name for name in ("rms_prop_optimizer", "momentum_optimizer", "adam_optimizer") if name in optimizer)
    rate = message_of(message_of(optimizer, kind), "learning_rate")
    (schedule,) = rate
    return schedule, message_of(rate, schedule)


def _fit_into_the_decay(message: Message) -> None:
    """A cosine's warm-up and its held base rate are parts of `total_steps`."""
    total, warm_up, held = (message[name][-1] for name in STEP_FIELDS["cosine_decay_learning_rate"])
    assert isinstance(total, int) and isinstance(warm_up, int) and isinstance(held, int)
    message["warmup_steps"] = [min(warm_up, total)]
    message["hold_base_rate_steps"] = [min(held, max(total - warm_up, 0))]


SCHEDULES: Mapping[str, type] = {
    "constant_learning_rate": ConstantLearningRate,
    "manual_step_learning_rate": ManualStepLearningRate,
    "cosine_decay_learning_rate": CosineDecayLearningRate,
    "exponential_decay_learning_rate": ExponentialDecayLearningRate,
}
STEP_FIELDS = {
    "cosine_decay_learning_rate": ("total_steps", "warmup_steps", "hold_base_rate_steps"),
    "exponential_decay_learning_rate": ("decay_steps", "burnin_steps"),
}


def _scale_manual_steps(message: Message, ratio: float, num_steps: int) -> None:
    """Steps stay ascending, however short the training is; the first may be a warm-up's end."""
    warms_up = bool(message.get("warmup", [False])[-1])
    previous = 0
    for entry in message["schedule"]:
        assert isinstance(entry, Message)
        step = entry["step"][-1]
        assert isinstance(step, int)
        shortest = min(step, recommended_warm_up(num_steps)) if warms_up and previous == 0 else previous + 1
        previous = max(int(step * ratio), shortest)
        entry["step"] = [previous]
