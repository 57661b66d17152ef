# SPDX-License-Identifier: Apache-2.0
"""Which of an image's detections a client wants to be told of."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inference_src.detections import Detections

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Selection:
    """What a client wants; classes are ids of the label map.

    Attributes:
        threshold: Least score.
        thresholds: Least score of some classes, in place of `threshold`.
        classes: The only classes; None takes all.
        most: How many, the best first.
    """

    threshold: float = 0.0
    thresholds: Mapping[int, float] = field(default_factory=dict)
    classes: frozenset[int] | None = None
    most: int | None = None

    def of(self, detections: Detections) -> Detections:
        """Leave out what is not wanted; what is left keeps its order, and the rest is padding, which is 0."""
        if self == Selection():
            return detections
        classes, scores = detections.classes[: detections.count], detections.scores[: detections.count]
        least = np.full(len(scores), self.threshold, np.float32)
        for identifier, threshold in self.thresholds.items():
            least[classes == identifier] = threshold
        wanted = scores >= least
        if self.classes is not None:
            wanted &= np.isin(classes, list(self.classes))
        rows = np.flatnonzero(wanted)
        best = np.argsort(-scores[rows], kind="stable")[: self.most]
        return _only(detections, rows[np.sort(best)])


def _only(detections: Detections, rows: NDArray[np.intp]) -> Detections:
    indices, of_classes = detections.anchor_indices, detections.multiclass_scores
    return replace(
        detections,
        boxes=_moved_up(detections.boxes, rows),
        scores=_moved_up(detections.scores, rows),
        classes=_moved_up(detections.classes, rows),
        count=len(rows),
        anchor_indices=None if indices is None else _moved_up(indices, rows),
        multiclass_scores=None if of_classes is None else _moved_up(of_classes, rows),
    )


def _moved_up(values: NDArray[_Number], rows: NDArray[np.intp]) -> NDArray[_Number]:
    moved = np.zeros_like(values)
    moved[: len(rows)] = values[rows]
    return moved
