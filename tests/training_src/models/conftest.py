# SPDX-License-Identifier: Apache-2.0
"""Reference inputs and outputs of the OD API, and detectors with the weights behind them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden.case import Arrays, ReferenceCase
from training_src.models.config.pipeline import PipelineDescription, load
from training_src.models.ssd import SsdDetector


@pytest.fixture(scope="session")
def reference(golden: Path, golden_checkpoint: Callable[[str], str]) -> Callable[[str], ReferenceCase]:
    """Reference cases by their folder's name."""
    return lambda name: ReferenceCase(golden / name, golden_checkpoint(name))


@pytest.fixture(scope="session")
def functions(golden: Path) -> tuple[dict[str, Any], Arrays]:
    """Parameters by case, and arrays by `case/array`, of the API's pure functions."""
    with np.load(golden / "functions.npz") as arrays:
        return json.loads((golden / "functions.json").read_text()), dict(arrays)


@pytest.fixture(scope="session")
def fpnlite(reference: Callable[[str], ReferenceCase]) -> ReferenceCase:
    """The reference case of SSD MobileNet V2 FPNLite."""
    return reference("ssd_mobilenet_v2_fpnlite")


@pytest.fixture(scope="session")
def case(fpnlite: ReferenceCase) -> Path:
    return fpnlite.folder


@pytest.fixture(scope="session")
def expected(fpnlite: ReferenceCase) -> Arrays:
    return fpnlite.expected()


@pytest.fixture(scope="session")
def description(case: Path) -> PipelineDescription:
    return load(case / "pipeline.config", num_classes=3)


@pytest.fixture(scope="session")
def reference_checkpoint(fpnlite: ReferenceCase) -> str:
    """The prefix of a checkpoint laid out as the zoo's."""
    return fpnlite.prefix


@pytest.fixture
def detector(fpnlite: ReferenceCase) -> SsdDetector:
    """The case's detector with the checkpoint's weights, for this test alone."""
    detector = fpnlite.detector()
    assert isinstance(detector, SsdDetector)
    return detector
