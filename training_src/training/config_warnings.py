# SPDX-License-Identifier: Apache-2.0
"""What looks like a mistake in a training's plan, said before the time is spent."""

from collections.abc import Sequence

from training_src.models.config.training import LearningRate, TrainConfig, recommended_warm_up

# The batch of a config for eight TPU cores is this many times as large as what fits on one GPU.
MUCH_SMALLER = 4
# A decay whose end is this many times the training's length away hardly begins.
FAR_BEYOND = 2.0


def config_warnings(config: TrainConfig, bundled_batch_size: int = 0, replicas: int = 1) -> Sequence[str]:
    """One sentence for each thing that is probably not meant.

    Args:
        config: As it will be used.
        bundled_batch_size: The batch that the config's learning rate was made for, where that is known; else 0.
        replicas: GPUs, or instances, among which a batch is divided.
    """
    rate, steps = config.optimizer.learning_rate, config.num_steps
    return [
        *_about_warm_up(rate, steps),
        *_about_decay(rate, steps),
        *_about_batch(config, bundled_batch_size),
        *_about_averages(config),
        *([f"a batch of {config.batch_size} is less than one image for each of {replicas} replicas"]
          if config.batch_size < replicas else []),
    ]  # fmt: skip


def _about_warm_up(rate: LearningRate, steps: int) -> list[str]:
    name, warm_up = _warm_up(rate)
    if warm_up <= 0:
        return []
    if warm_up >= steps:
        return [
            f"{name} of {warm_up} steps is longer than the training of {steps}: the learning rate never comes to its "
            f"base; set it to about {recommended_warm_up(steps)}"
        ]
    if warm_up > steps // 2:
        return [f"{name} of {warm_up} steps takes more than half of the training's {steps}"]
    return []


def _warm_up(rate: LearningRate) -> tuple[str, int]:
    if rate.cosine_decay_learning_rate:
        return "warmup_steps", rate.cosine_decay_learning_rate.warmup_steps
    if rate.exponential_decay_learning_rate:
        return "burnin_steps", rate.exponential_decay_learning_rate.burnin_steps
    manual = rate.manual_step_learning_rate
    return ("the warm-up to the first step of the schedule", manual.schedule[0].step if manual and manual.warmup else 0)


def _about_decay(rate: LearningRate, steps: int) -> list[str]:
    if rate.cosine_decay_learning_rate:
        total = rate.cosine_decay_learning_rate.total_steps
        if total < steps - 1:
            return [
                f"the cosine decay ends at step {total}, the training at {steps}: the rate is 0 from there "
                f"on; set total_steps to {steps}"
            ]
        if total > FAR_BEYOND * steps:
            return [
                f"the cosine decay ends at step {total}, far beyond the training's {steps}: the rate hardly falls; "
                f"set total_steps to {steps}"
            ]
    if rate.exponential_decay_learning_rate:
        decay = rate.exponential_decay_learning_rate
        if decay.burnin_steps + decay.decay_steps > steps and decay.decay_factor < 1:
            first = decay.burnin_steps + decay.decay_steps
            return [f"the first decay comes after {first} steps, beyond the training's {steps}"]
        last = decay.initial_learning_rate * decay.decay_factor ** ((steps - decay.burnin_steps) / decay.decay_steps)
        if max(last, decay.min_learning_rate) < decay.initial_learning_rate * 1e-4:
            return [f"the learning rate falls to {last:.1e} long before the training's {steps} steps are over"]
    manual = rate.manual_step_learning_rate
    if manual and manual.schedule[-1].step >= steps:
        return [f"the schedule's step {manual.schedule[-1].step} lies beyond the training's {steps}"]
    return []


def _about_batch(config: TrainConfig, bundled: int) -> list[str]:
    if bundled < MUCH_SMALLER * config.batch_size:
        return []
    rate = greatest_rate(config.optimizer.learning_rate)
    return [
        f"the learning rate {rate:g} was made for a batch of {bundled}, this one is {bundled / config.batch_size:g} "
        f"times smaller: consider {rate * config.batch_size / bundled:.2g}"
    ]


def greatest_rate(rate: LearningRate) -> float:
    """The greatest learning rate of a schedule."""
    if rate.cosine_decay_learning_rate:
        return rate.cosine_decay_learning_rate.learning_rate_base
    if rate.exponential_decay_learning_rate:
        return rate.exponential_decay_learning_rate.initial_learning_rate
    if rate.manual_step_learning_rate:
        manual = rate.manual_step_learning_rate
        return max(manual.initial_learning_rate, *(entry.learning_rate for entry in manual.schedule))
    assert rate.constant_learning_rate is not None  # the config holds exactly one
    return rate.constant_learning_rate.learning_rate


def _about_averages(config: TrainConfig) -> list[str]:
    decay = config.optimizer.moving_average_decay
    if not config.optimizer.use_moving_average or decay < 1 - 3 / max(config.num_steps, 1) <= 0:
        return []
    if (1 - decay) * config.num_steps >= 3:
        return []
    return [
        f"moving_average_decay {decay:g} remembers {1 / max(1 - decay, 1e-9):.0f} steps of a training of "
        f"{config.num_steps}: what is exported lags behind; lower it, or set use_moving_average: false"
    ]
