# SPDX-License-Identifier: Apache-2.0
"""The batch that fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_src.errors import ConfigurationError
from training_src.models.training_memory import GIB, Footprint, Memory, asked_batch, batch_for

FPNLITE = Footprint(bytes_an_image=736 << 20, parameters=2_600_000, forward_flops=7_000_000_000)
HALF = Footprint(bytes_an_image=368 << 20, parameters=2_600_000, forward_flops=7_000_000_000)


def test_auto_is_the_default_of_bundled_configs_alone() -> None:
    assert asked_batch(None, 128, bundled=True) == "auto"
    assert asked_batch(None, 128, bundled=False) == 128
    assert asked_batch(4, 128, bundled=True) == 4
    assert asked_batch("auto", 128, bundled=False) == "auto"


def test_auto_takes_what_fits_and_no_more_than_the_config_has() -> None:
    # A share of the 16 GiB of an ml.m5.xlarge, 24 GiB of an A10G at 16 bits, 80 GiB.
    assert batch_for("auto", 128, FPNLITE, Memory(16 * GIB)) == 8
    assert batch_for("auto", 128, HALF, Memory(24 * GIB, on_gpu=True)) == 32
    assert batch_for("auto", 128, HALF, Memory(24 * GIB, on_gpu=True), replicas=4) == 128
    assert batch_for("auto", 8, HALF, Memory(80 * GIB, on_gpu=True)) == 8


def test_auto_takes_one_image_where_the_share_is_too_small_and_the_whole_is_not() -> None:
    assert batch_for("auto", 128, FPNLITE, Memory(2 * GIB)) == 1


def test_what_needs_more_than_there_is_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match=r"needs at least 56\.2 GiB .* 16\.0 GiB: set batch_size=8 "):
        batch_for(128, 128, FPNLITE, Memory(16 * GIB))
    with pytest.raises(ConfigurationError, match=r"each GPU has 0\.5 GiB: take an instance type with more memory"):
        batch_for("auto", 128, FPNLITE, Memory(GIB // 2, on_gpu=True))


@given(
    configs=st.integers(1, 512),
    bytes_an_image=st.integers(1, GIB),
    total=st.integers(4, 1000),
    on_gpu=st.booleans(),
    replicas=st.integers(1, 16),
)
def test_auto_always_fits_and_divides(
    configs: int, bytes_an_image: int, total: int, on_gpu: bool, replicas: int
) -> None:
    footprint, memory = Footprint(bytes_an_image, 1_000_000, 1), Memory(total * GIB, on_gpu)
    batch = batch_for("auto", configs, footprint, memory, replicas)
    assert batch % replicas == 0
    assert footprint.least_bytes_of(batch // replicas, on_gpu=on_gpu) <= memory.total
    assert batch <= max(configs, replicas)
    # Who asks for it by its number gets it, too.
    assert batch_for(batch, configs, footprint, memory, replicas) == batch
