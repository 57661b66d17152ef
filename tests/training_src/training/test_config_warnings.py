# SPDX-License-Identifier: Apache-2.0
"""What is pointed out before time is spent."""

import pytest

from training_src.models.config.decoding import decode
from training_src.models.config.training import TrainConfig
from training_src.text_format import parse
from training_src.training.config_warnings import config_warnings


def config(rate: str, extra: str = "num_steps: 1000 batch_size: 8", average: str = "false") -> TrainConfig:
    text = f"momentum_optimizer {{ learning_rate {{ {rate} }} }} use_moving_average: {average}"
    return decode(TrainConfig, parse(f"optimizer {{ {text} }} {extra}"))


def cosine(total: int = 1000, warm_up: int = 50, base: float = 0.08) -> str:
    numbers = f"learning_rate_base: {base} total_steps: {total} warmup_learning_rate: 0.01 warmup_steps: {warm_up}"
    return f"cosine_decay_learning_rate {{ {numbers} }}"


def exponential(numbers: str) -> str:
    return f"exponential_decay_learning_rate {{ {numbers} }}"


MANUAL = "manual_step_learning_rate {{ initial_learning_rate: 0.1 schedule {{ step: {step} learning_rate: 0.01 }} }}"


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [
        (cosine(warm_up=1000, total=5000), "warmup_steps of 1000 steps is longer than the training of 1000"),
        (cosine(warm_up=600), "takes more than half of the training's 1000"),
        (cosine(total=400), "the cosine decay ends at step 400, the training at 1000"),
        (cosine(total=50000), "ends at step 50000, far beyond the training's 1000"),
        (exponential("burnin_steps: 2000 decay_steps: 10"), "of 2000 steps is longer than the training of 1000"),
        (exponential("decay_steps: 5000"), "the first decay comes after 5000 steps, beyond the training's 1000"),
        (exponential("decay_steps: 1 decay_factor: 0.9"), "long before the training's 1000 steps are over"),
        (MANUAL.format(step=3000), "the schedule's step 3000 lies beyond the training's 1000"),
    ],
)
def test_a_schedule_that_does_not_fit_is_pointed_out(rate: str, sentence: str) -> None:
    assert any(sentence in line for line in config_warnings(config(rate)))


@pytest.mark.parametrize(("batch", "times", "rate"), [(16, 8, "0.01"), (8, 16, "0.005")])
def test_a_zoo_rate_at_a_batch_much_smaller_is_pointed_out(batch: int, times: int, rate: str) -> None:
    (line,) = config_warnings(config(cosine(), f"num_steps: 1000 batch_size: {batch}"), bundled_batch_size=128)
    assert f"made for a batch of 128, this one is {times} times smaller" in line
    assert f"consider {rate}" in line


def test_an_average_that_remembers_more_than_the_training_is_pointed_out() -> None:
    assert "lags behind" in " ".join(config_warnings(config(cosine(), average="true moving_average_decay: 0.9999")))


def test_fewer_images_than_replicas_are_pointed_out() -> None:
    assert "less than one image for each of 16 replicas" in " ".join(config_warnings(config(cosine()), replicas=16))


def test_what_fits_is_passed_in_silence() -> None:
    assert not config_warnings(config(cosine()), bundled_batch_size=8)
    assert not config_warnings(config(MANUAL.format(step=500)))
    assert not config_warnings(config("constant_learning_rate {}"))
