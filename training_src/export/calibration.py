# SPDX-License-Identifier: Apache-2.0
"""The images from which an int8 model learns the ranges of its numbers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training_src.training.records import Records, pixels

# Each costs an inference in float32.
GREATEST_COUNT = 128


def calibration_images(records: Records) -> Iterator[NDArray[np.uint8]]:
    """Some of a split's images, evenly spread over it, `(height, width, 3)`, RGB.

    Args:
        records: The validation split's. The test split stays unseen until the model is final.
    """
    chosen = np.linspace(0, len(records) - 1, min(len(records), GREATEST_COUNT)).round().astype(int)
    return (pixels(records[index]) for index in chosen.tolist())
