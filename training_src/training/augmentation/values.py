# SPDX-License-Identifier: Apache-2.0
"""Changes of `preprocessor.proto` that take pixels out of 0..255: each channel multiplied and shifted.

They change places with all that only moves pixels, and so are done last, when an image has its final size.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from training_src.models.config.value_augmentation import NormalizeImage, SubtractChannelMean

Values: TypeAlias = NDArray[np.float32]


def normalize_image(config: NormalizeImage, image: Values) -> Values:
    scale = (config.target_maxval - config.target_minval) / (config.original_maxval - config.original_minval)
    return np.asarray(
        (image - np.float32(config.original_minval)) * np.float32(scale) + np.float32(config.target_minval)
    )


def subtract_channel_mean(config: SubtractChannelMean, image: Values) -> Values:
    return np.asarray(image - np.array(config.means, np.float32))
