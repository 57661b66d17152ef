# SPDX-License-Identifier: Apache-2.0
"""What a detector finds in one image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
"""The names of an exported model's outputs, in every runtime."""


@dataclass(frozen=True)
class Detections:
    """The detections of one image as the exported model gives them, padded to its fixed number N.

    Attributes:
        boxes: float32 [N, 4], ymin, xmin, ymax, xmax as fractions of the image's height and width.
        scores: float32 [N], 0 to 1.
        classes: int32 [N], ids of the label map, which start at 1 and may have gaps.
        count: How many of the N are detections; the rest is padding.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    count: int
