# SPDX-License-Identifier: Apache-2.0
"""Schedules equal the OD API's."""

import json
from pathlib import Path

import numpy as np
import pytest

from training_src.models.config.decoding import decode
from training_src.models.config.training import LearningRate, TrainConfig, scale_rates, scale_schedule
from training_src.models.errors import ConfigError
from training_src.text_format import parse
from training_src.training.learning_rate import learning_rate

CASES = [
    "lr_constant",
    "lr_cosine_hold",
    "lr_cosine_nowarmup",
    "lr_cosine_warmup",
    "lr_exponential",
    "lr_exponential_smooth_burnin",
    "lr_manual",
    "lr_manual_warmup",
]


@pytest.mark.parametrize("name", CASES)
def test_rates_equal_the_reference(golden: Path, name: str) -> None:
    text = json.loads((golden / "functions.json").read_text())[name]["config"]
    config = decode(LearningRate, parse(text))
    with np.load(golden / "functions.npz") as arrays:
        steps, expected = arrays[f"{name}/steps"], arrays[f"{name}/learning_rate"]
    rates = [learning_rate(config, int(step)) for step in steps]
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-8)


def test_a_base_rate_that_is_held_to_the_end_is_held_there_too() -> None:
    text = (
        "learning_rate_base: 0.1 total_steps: 30 warmup_learning_rate: 0.02 warmup_steps: 10 hold_base_rate_steps: 20"
    )
    config = decode(LearningRate, parse(f"cosine_decay_learning_rate {{ {text} }}"))
    rates = [learning_rate(config, step) for step in (0, 5, 10, 30, 31)]
    assert rates == pytest.approx([0.02, 0.06, 0.1, 0.1, 0])


def test_stairs_are_counted_from_the_end_of_the_burn_in_and_none_is_below_the_minimum() -> None:
    text = "initial_learning_rate: 0.8 decay_steps: 10 decay_factor: 0.5 burnin_learning_rate: 0.3 burnin_steps: 4"
    config = decode(
        LearningRate, parse(f"exponential_decay_learning_rate {{ {text} staircase: true min_learning_rate: 0.15 }}")
    )
    rates = [learning_rate(config, step) for step in (0, 3, 4, 13, 14, 24, 34)]
    assert rates == pytest.approx([0.3, 0.3, 0.8, 0.8, 0.4, 0.2, 0.15])


def test_the_minimum_holds_for_the_burn_in_too() -> None:
    config = decode(
        LearningRate,
        parse("exponential_decay_learning_rate { burnin_learning_rate: 1e-5 burnin_steps: 9 min_learning_rate: 1e-3 }"),
    )
    assert learning_rate(config, 0) == 1e-3


def test_a_burn_in_without_its_rate_is_at_the_first_rate() -> None:
    config = decode(
        LearningRate, parse("exponential_decay_learning_rate { initial_learning_rate: 0.1 burnin_steps: 9 }")
    )
    assert learning_rate(config, 3) == 0.1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "cosine_decay_learning_rate { total_steps: 1000 warmup_steps: 100 hold_base_rate_steps: 10 }",
            "total_steps: 100 warmup_steps: 10 hold_base_rate_steps: 1",
        ),
        ("cosine_decay_learning_rate { total_steps: 20000 }", "total_steps: 2000 warmup_steps: 1000"),
        (
            "exponential_decay_learning_rate { decay_steps: 50 burnin_steps: 200 }",
            "decay_steps: 5 burnin_steps: 20",
        ),
        (
            "manual_step_learning_rate { schedule { step: 90 } schedule { step: 92 } }",
            "schedule { step: 9 } schedule { step: 10 }",
        ),
        # A warm-up keeps a twentieth of the training.
        ("cosine_decay_learning_rate { total_steps: 1000 warmup_steps: 8 }", "total_steps: 100 warmup_steps: 5"),
        ("cosine_decay_learning_rate { total_steps: 1000 warmup_steps: 3 }", "total_steps: 100 warmup_steps: 3"),
        (
            "cosine_decay_learning_rate { total_steps: 1000 warmup_steps: 10 hold_base_rate_steps: 990 }",
            "total_steps: 100 warmup_steps: 5 hold_base_rate_steps: 95",
        ),
        ("cosine_decay_learning_rate { total_steps: 20 warmup_steps: 20 }", "total_steps: 2 warmup_steps: 2"),
        ("exponential_decay_learning_rate { decay_steps: 50 burnin_steps: 8 }", "decay_steps: 5 burnin_steps: 5"),
        (
            "manual_step_learning_rate { warmup: true schedule { step: 10 } schedule { step: 30 } }",
            "warmup: true schedule { step: 5 } schedule { step: 6 }",
        ),
        ("constant_learning_rate { learning_rate: 0.1 }", "learning_rate: 0.1"),
    ],
)
@pytest.mark.parametrize("optimizer", ["momentum_optimizer", "rms_prop_optimizer", "adam_optimizer"])
def test_every_schedule_is_stretched_to_another_length(text: str, expected: str, optimizer: str) -> None:
    message = parse(f"optimizer {{ {optimizer} {{ learning_rate {{ {text} }} }} }}")
    scale_schedule(message, 0.1, 100)
    kind = text.split()[0]
    wanted = parse(f"optimizer {{ {optimizer} {{ learning_rate {{ {kind} {{ {expected} }} }} }} }}")
    assert decode(TrainConfig, message) == decode(TrainConfig, wanted)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cosine_decay_learning_rate { learning_rate_base: 0.01 warmup_learning_rate: 0.1 }", "is above"),
        ("cosine_decay_learning_rate { total_steps: 50 warmup_steps: 100 }", "total_steps 50 is less than"),
        ("manual_step_learning_rate {}", "above 0 and ascending"),
        ("manual_step_learning_rate { schedule { step: 9 } schedule { step: 9 } }", "above 0 and ascending"),
    ],
)
def test_a_schedule_that_contradicts_itself_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        decode(TrainConfig, parse(f"optimizer {{ adam_optimizer {{ learning_rate {{ {text} }} }} }}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant_learning_rate { learning_rate: 0.1 }", "learning_rate: 0.025"),
        (
            "cosine_decay_learning_rate { learning_rate_base: 0.8 warmup_learning_rate: 0.4 hold_base_rate_steps: 8 }",
            "learning_rate_base: 0.2 warmup_learning_rate: 0.1 hold_base_rate_steps: 8",
        ),
        (
            "exponential_decay_learning_rate { initial_learning_rate: 0.4 decay_factor: 0.5 min_learning_rate: 0.04 }",
            "initial_learning_rate: 0.1 decay_factor: 0.5 min_learning_rate: 0.01",
        ),
        (
            "manual_step_learning_rate { schedule { step: 9 learning_rate: 0.4 } schedule { step: 10 } }",
            "initial_learning_rate: 0.0005 schedule { step: 9 learning_rate: 0.1 } "
            "schedule { step: 10 learning_rate: 0.0005 }",
        ),
    ],
)
def test_every_rate_of_a_schedule_follows_the_batch(text: str, expected: str) -> None:
    message = parse(f"optimizer {{ adam_optimizer {{ learning_rate {{ {text} }} }} }}")
    scale_rates(message, 0.25)
    kind = text.split()[0]
    wanted = parse(f"optimizer {{ adam_optimizer {{ learning_rate {{ {kind} {{ {expected} }} }} }} }}")
    assert decode(TrainConfig, message) == decode(TrainConfig, wanted)
