# SPDX-License-Identifier: Apache-2.0
"""One process builds dozens of detectors: what one module leaves goes before the next."""

import gc
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def forgotten_networks() -> Iterator[None]:
    """Let go of the graphs that Keras keeps, where a module used it at all."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()  # collects garbage too
        if not gc.get_freeze_count():
            # The libraries' own objects, which no later collection needs to look at: half a second each.
            gc.freeze()
