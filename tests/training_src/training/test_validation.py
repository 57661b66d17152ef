# SPDX-License-Identifier: Apache-2.0
"""Evaluation between two steps of a training."""

from pathlib import Path

import numpy as np
import pytest

from training_src.models.architectures import build_detector
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import PipelineConfig
from training_src.models.detector import Detector
from training_src.text_format import parse
from training_src.training.records import Records
from training_src.training.validation import BATCH_SIZE, Validation

NAMES = {1: "square", 2: "disc", 4: "bar"}


@pytest.fixture(scope="module")
def detector(small_config: str, short_mobilenet: None, unsimplified: None) -> Detector:  # noqa: ARG001
    return build_detector(decode(PipelineConfig, parse(small_config)).model)


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_is_traced_once_though_the_last_batch_is_smaller(prepared: Path, detector: Detector, cache_bytes: int) -> None:
    records = Records(prepared / "train", cache_bytes=cache_bytes)
    assert len(records) % BATCH_SIZE not in (0, len(records))
    validation = Validation(detector, records, NAMES)
    first, second = validation.evaluate(), validation.evaluate()
    assert validation.traces == 1
    assert first.losses == second.losses
    assert first.loss > 0
    for picture, again in zip(first.pictures, second.pictures, strict=True):
        np.testing.assert_array_equal(picture, again)
