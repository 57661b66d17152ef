# SPDX-License-Identifier: Apache-2.0
"""Reference inputs and outputs of the OD API, and a detector with the weights behind them."""

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training_src.models import checkpoint
from training_src.models.config.pipeline import PipelineDescription, load
from training_src.models.detector import build_detector
from training_src.models.ssd import SsdDetector

GOLDEN = Path(__file__).parents[4] / "shared" / "golden"
Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of reference cases."""
    if not GOLDEN.is_dir():
        pytest.skip(f"the reference arrays are not at {GOLDEN}")
    return GOLDEN


@pytest.fixture(scope="session")
def case(golden: Path) -> Path:
    """The reference case of SSD MobileNet V2 FPNLite."""
    return golden / "ssd_mobilenet_v2_fpnlite"


@pytest.fixture(scope="session")
def expected(case: Path) -> Arrays:
    with np.load(case / "expected.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def functions(golden: Path) -> tuple[dict[str, Any], Arrays]:
    """Parameters by case, and arrays by `case/array`, of the API's pure functions."""
    with np.load(golden / "functions.npz") as arrays:
        return json.loads((golden / "functions.json").read_text()), dict(arrays)


@pytest.fixture(scope="session")
def description(case: Path) -> PipelineDescription:
    return load(case / "pipeline.config", num_classes=3)


@pytest.fixture(scope="session")
def reference_checkpoint(golden: Path, case: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The prefix of a checkpoint laid out as the zoo's."""
    prefix = str(tmp_path_factory.mktemp("zoo") / "ckpt-0")
    make = runpy.run_path(str(golden / "make_checkpoint.py"))["main"]
    make([str(case / "variables.json"), prefix, "--quiet"])
    return prefix


@pytest.fixture
def detector(description: PipelineDescription, reference_checkpoint: str) -> SsdDetector:
    """The case's detector with the checkpoint's weights, for this test alone."""
    detector = build_detector(description.config.model)
    assert isinstance(detector, SsdDetector)
    checkpoint.restore(detector.variables(), reference_checkpoint, "full")
    return detector
