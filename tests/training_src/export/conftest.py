# SPDX-License-Identifier: Apache-2.0
"""Labelled images as the preparation writes them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from containers.contract.tfrecord import write_record
from training_src.data.records.example import DetectionExample, encode
from training_src.training.records import Records

COUNT = 6


def picture(seed: int) -> NDArray[np.uint8]:
    """Blurred noise: smooth like a photograph, each another."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (200, 150), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(scope="session")
def validation_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of a few images."""
    folder: Path = tmp_path_factory.mktemp("validation")
    none = np.zeros(0, np.int64)
    with (folder / "validation-00000-of-00001.tfrecord").open("wb") as stream:
        for index in range(COUNT):
            encoded = cv2.imencode(".jpg", picture(index))[1].tobytes()
            example = DetectionExample(
                source_id=str(index),
                filename=f"{index}.jpg",
                encoded=encoded,
                format="jpeg",
                width=200,
                height=150,
                boxes=np.zeros((0, 4), np.float32),
                labels=none,
                names=(),
                difficult=none,
                truncated=none,
                crowd=none,
            )
            write_record(stream, encode(example))
    return folder


@pytest.fixture(scope="session")
def validation(validation_folder: Path) -> Records:
    return Records(validation_folder)
