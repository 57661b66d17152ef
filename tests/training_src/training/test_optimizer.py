# SPDX-License-Identifier: Apache-2.0
"""Optimizers against their formulas, written out in numpy."""

from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from training_src.models.config.decoding import decode
from training_src.models.config.training import Optimizer, TrainConfig
from training_src.models.errors import ConfigError
from training_src.text_format import parse
from training_src.training.optimizer import build_optimizer

Array = NDArray[np.float64]
STEPS = ((0.1, [1.0, -2.0]), (0.01, [0.5, 0.5]), (0.2, [0.0, 1.0]))
RATE = "learning_rate { constant_learning_rate {} }"


def momentum(value: Array, slots: list[Array], gradient: Array, rate: float, step: int) -> Array:  # noqa: ARG001
    slots[0] = 0.8 * slots[0] - rate * gradient
    return value + slots[0]


def nesterov(value: Array, slots: list[Array], gradient: Array, rate: float, step: int) -> Array:  # noqa: ARG001
    slots[0] = 0.8 * slots[0] - rate * gradient
    return value + 0.8 * slots[0] - rate * gradient


def rms_prop(value: Array, slots: list[Array], gradient: Array, rate: float, step: int) -> Array:  # noqa: ARG001
    slots[0] = 0.95 * slots[0] + 0.05 * gradient**2
    slots[1] = 0.8 * slots[1] + rate * gradient / np.sqrt(slots[0] + 0.5)
    return value - slots[1]


def adam(
    value: Array,
    slots: list[Array],
    gradient: Array,
    rate: float,
    step: int,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Array:
    first, second = betas
    slots[0] = first * slots[0] + (1 - first) * gradient
    slots[1] = second * slots[1] + (1 - second) * gradient**2
    corrected = rate * np.sqrt(1 - second ** (step + 1)) / (1 - first ** (step + 1))
    return np.asarray(value - corrected * slots[0] / (np.sqrt(slots[1]) + 0.001))


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (f"momentum_optimizer {{ {RATE} momentum_optimizer_value: 0.8 }}", momentum),
        (f"rms_prop_optimizer {{ {RATE} momentum_optimizer_value: 0.8 decay: 0.95 epsilon: 0.5 }}", rms_prop),
        (f"momentum_optimizer {{ {RATE} momentum_optimizer_value: 0.8 nesterov: true }}", nesterov),
        (f"adam_optimizer {{ {RATE} epsilon: 0.001 }}", adam),
        (f"adam_optimizer {{ {RATE} epsilon: 0.001 beta_1: 0.5 beta_2: 0.7 }}", partial(adam, betas=(0.5, 0.7))),
    ],
)
def test_steps_by_its_formula(text: str, formula: Callable[..., Array]) -> None:
    used, unused = keras.Variable([1.0, 2.0]), keras.Variable([3.0])
    optimizer = build_optimizer(decode(Optimizer, parse(text)), [used, unused])
    value, slots = np.array([1.0, 2.0]), [np.zeros(2), np.zeros(2)]
    for step, (rate, gradient) in enumerate(STEPS):
        optimizer.apply([tf.constant(gradient), None], tf.constant(rate), tf.constant(step, tf.int64))
        value = formula(value, slots, np.array(gradient), rate, step)
        np.testing.assert_allclose(used.numpy(), value, rtol=1e-4)
    for (first, _), expected in zip(optimizer.slots.values(), slots, strict=False):
        np.testing.assert_allclose(first.numpy(), expected, rtol=1e-4)
    np.testing.assert_array_equal(unused.numpy(), [3.0])


def test_defaults_are_the_protos() -> None:
    config = decode(TrainConfig, parse(f"optimizer {{ rms_prop_optimizer {{ {RATE} }} }}"))
    optimizer = config.optimizer
    assert optimizer.use_moving_average
    assert optimizer.moving_average_decay == 0.9999
    assert optimizer.rms_prop_optimizer is not None
    assert optimizer.rms_prop_optimizer.epsilon == 1.0
    assert config.batch_size == 32


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("optimizer {}", "exactly one of rms_prop_optimizer, momentum_optimizer, adam_optimizer"),
        (f"optimizer {{ adam_optimizer {{ {RATE} beta1: 0.5 }} }}", "adam_optimizer.beta1: 0.5 is not supported"),
        (f"optimizer {{ adam_optimizer {{ {RATE} beta_2: 1 }} }}", "beta_2: 1.0 is not supported; give a part below 1"),
        (f"optimizer {{ adam_optimizer {{ {RATE} }} }} batch_size: 0", "batch_size: 0 is not supported"),
        (f"optimizer {{ adam_optimizer {{ {RATE} }} }} merge_multiple_label_boxes: true", "merge_multiple_label_boxes"),
    ],
)
def test_what_is_not_supported_is_named(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        decode(TrainConfig, parse(text))
