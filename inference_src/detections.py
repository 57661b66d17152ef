# SPDX-License-Identifier: Apache-2.0
"""What a detector finds in one image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
"""The names of an exported model's outputs, in every runtime."""
ANCHOR_INDICES, MULTICLASS_SCORES = FURTHER_OUTPUTS = ("detection_anchor_indices", "detection_multiclass_scores")
"""Of further ones, which models of earlier versions have in TensorFlow's form only."""


@dataclass(frozen=True)
class Detections:
    """The detections of one image as the exported model gives them, padded to its fixed number N.

    Attributes:
        boxes: float32 [N, 4], ymin, xmin, ymax, xmax as fractions of the image's height and width.
        scores: float32 [N], 0 to 1.
        classes: int32 [N], ids of the label map, which start at 1 and may have gaps.
        count: How many of the N are detections; the rest is padding.
        anchor_indices: int32 [N], the anchor, or the proposal, of each; None where it was not asked for, or the model
            does not tell.
        multiclass_scores: float32 [N, columns], the scores of all classes, the background's included if there is one;
            None as with `anchor_indices`.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    count: int
    anchor_indices: NDArray[np.int32] | None = None
    multiclass_scores: NDArray[np.float32] | None = None
