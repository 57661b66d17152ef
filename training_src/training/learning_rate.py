# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules, with the OD API's formulas."""

import math

from training_src.models.config.training import CosineDecayLearningRate, LearningRate


def learning_rate(config: LearningRate, step: int) -> float:
    """The rate of a step, counted from 0."""
    if config.cosine_decay_learning_rate:
        return _cosine_decay(config.cosine_decay_learning_rate, step)
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
