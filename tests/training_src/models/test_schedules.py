# SPDX-License-Identifier: Apache-2.0
"""The one table of steps, batches and rates, and the configs that hold its numbers."""

from dataclasses import replace

import pytest

from training_src.models.config.pipeline import CONFIGS, bundled_architectures, load_bundled
from training_src.models.schedules import SCHEDULES, ZOO, with_schedule


def test_every_bundled_config_has_a_line() -> None:
    assert sorted(SCHEDULES) == bundled_architectures()


@pytest.mark.parametrize("architecture", SCHEDULES)
def test_a_config_holds_the_numbers_of_the_table(architecture: str) -> None:
    text, schedule = (CONFIGS / f"{architecture}.config").read_text(), SCHEDULES[architecture]
    assert text == with_schedule(text, schedule), "run `make reference`"
    trained = load_bundled(architecture, 3).config.train_config
    cosine = trained.optimizer.learning_rate.cosine_decay_learning_rate
    assert cosine is not None
    assert (trained.num_steps, trained.batch_size) == (schedule.num_steps, schedule.batch_size)
    assert (cosine.total_steps, cosine.warmup_steps) == (schedule.num_steps, schedule.warmup_steps)
    assert cosine.learning_rate_base == schedule.learning_rate_base
    assert cosine.warmup_learning_rate == schedule.warmup_learning_rate


def test_a_changed_line_changes_the_config_and_nothing_else_in_it() -> None:
    text = (CONFIGS / "efficientdet_d0_512x512.config").read_text()
    changed = with_schedule(text, replace(SCHEDULES["efficientdet_d0_512x512"], num_steps=77, warmup_steps=5))
    lines = [new.strip() for old, new in zip(text.splitlines(), changed.splitlines(), strict=True) if old != new]
    assert lines == ["num_steps: 77", "total_steps: 77", "warmup_steps: 5"]


def test_a_config_that_lacks_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="num_steps 0 times"):
        with_schedule("\ntrain_config {\n}\n", SCHEDULES["efficientdet_d0_512x512"])


@pytest.mark.parametrize("architecture", ZOO)
def test_the_zoos_schedule_is_taken_where_it_is_asked_for(architecture: str) -> None:
    trained = load_bundled(architecture, 3, zoos_schedule=True).config.train_config
    assert (trained.num_steps, trained.batch_size) == (ZOO[architecture].num_steps, ZOO[architecture].batch_size)


def test_a_decay_reaches_every_batch_norm_and_no_other_field() -> None:
    text = (CONFIGS / "ssd_mobilenet_v2_fpnlite_320x320.config").read_text()
    changed = with_schedule(text, replace(SCHEDULES["ssd_mobilenet_v2_fpnlite_320x320"], batch_norm_decay=0.5))
    lines = [new.strip() for old, new in zip(text.splitlines(), changed.splitlines(), strict=True) if old != new]
    assert lines == ["batch_norm { decay: 0.5 scale: true epsilon: 0.001 }"] * 2


def test_rates_that_were_not_measured_are_the_zoos_in_proportion_to_the_batch() -> None:
    schedule, zoo = SCHEDULES["efficientdet_d0_512x512"], ZOO["efficientdet_d0_512x512"]
    assert schedule.learning_rate_base / schedule.batch_size == pytest.approx(zoo.learning_rate_base / zoo.batch_size)
    assert schedule.warmup_steps < schedule.num_steps < zoo.num_steps
