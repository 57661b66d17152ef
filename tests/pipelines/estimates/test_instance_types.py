# SPDX-License-Identifier: Apache-2.0
"""Prices, and what is not known."""

from datetime import date

import pytest

from infra.settings import ENVIRONMENTS, Settings
from pipelines.estimates.instance_types import instance_type, prices_of

# Said here, so that whoever adds a type to an environment decides whether its price is looked up.
WITHOUT_PRICE: frozenset[str] = frozenset()


@pytest.mark.parametrize("environment", [file.stem for file in ENVIRONMENTS.glob("*.yaml")])
def test_every_type_of_an_environment_has_a_price_and_a_speed_or_is_listed_as_unknown(environment: str) -> None:
    settings = Settings.read(environment)
    used = {
        *settings.training.instance_types,
        settings.delivery.instance_type,
        settings.processing.prepare_instance_type,
        settings.processing.evaluate_instance_type,
    }
    unpriced = {name for name in used if instance_type(name).usd_per_hour is None}
    assert unpriced == used & WITHOUT_PRICE
    assert all(instance_type(name).is_known for name in settings.training.instance_types)


def test_another_type_is_unknown() -> None:
    unknown = instance_type("ml.z9.huge")
    assert not unknown.is_known
    assert (unknown.usd_per_hour, unknown.training_memory_gib) == (None, None)


def test_a_gpus_memory_is_what_a_batch_has_to_fit() -> None:
    assert instance_type("ml.g5.xlarge").training_memory_gib == 21
    assert instance_type("ml.m5.xlarge").training_memory_gib == 16


def test_prices_have_a_date_and_a_region() -> None:
    day, region = prices_of().split(", ")
    assert date.fromisoformat(day) >= date(2026, 11, 30)
    assert region == "us-east-1"
