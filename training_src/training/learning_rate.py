# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules, with the OD API's formulas (`utils/learning_schedules.py`)."""

import math

from training_src.models.config.training import (
    CosineDecayLearningRate,
    ExponentialDecayLearningRate,
    LearningRate,
    ManualStepLearningRate,
)


def learning_rate(config: LearningRate, step: int) -> float:
    """The rate of a step, counted from 0."""
    if config.cosine_decay_learning_rate:
        return _cosine_decay(config.cosine_decay_learning_rate, step)
    if config.exponential_decay_learning_rate:
        return _exponential_decay(config.exponential_decay_learning_rate, step)
    if config.manual_step_learning_rate:
        return _manual_step(config.manual_step_learning_rate, step)
    assert config.constant_learning_rate is not None  # the config holds exactly one
    return config.constant_learning_rate.learning_rate


def _cosine_decay(config: CosineDecayLearningRate, step: int) -> float:
    """A linear warm-up, the base rate held, then half a cosine down to 0; 0 ever after."""
    if step > config.total_steps:
        return 0.0
    if step < config.warmup_steps:
        slope = (config.learning_rate_base - config.warmup_learning_rate) / config.warmup_steps
        return config.warmup_learning_rate + slope * step
    start = config.warmup_steps + config.hold_base_rate_steps
    if step <= start:
        return config.learning_rate_base
    progress = (step - start) / (config.total_steps - start)
    return 0.5 * config.learning_rate_base * (1 + math.cos(math.pi * progress))


def _exponential_decay(config: ExponentialDecayLearningRate, step: int) -> float:
    """A constant burn-in, then a decay counted from its end; the minimum holds for both."""
    if step < config.burnin_steps:
        rate = config.burnin_learning_rate or config.initial_learning_rate
    else:
        periods = (step - config.burnin_steps) / config.decay_steps
        rate = config.initial_learning_rate * config.decay_factor ** (
            math.floor(periods) if config.staircase else periods
        )
    return max(rate, config.min_learning_rate)


def _manual_step(config: ManualStepLearningRate, step: int) -> float:
    """A staircase; a warm-up replaces its first stair by a ramp up to the second."""
    first = config.schedule[0]
    if config.warmup and step < first.step:
        slope = (first.learning_rate - config.initial_learning_rate) / first.step
        return config.initial_learning_rate + slope * step
    begun = [entry.learning_rate for entry in config.schedule if entry.step <= step]
    return begun[-1] if begun else config.initial_learning_rate
