# SPDX-License-Identifier: Apache-2.0
"""How wide and high each class's boxes are as shares of their images: a histogram that fits into `dataset.json`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.models.anchor_overlaps import BoxArrays

# The edges of neighbouring cells differ by the fourth root of two.
STEPS_AN_OCTAVE = 4
# Shares below 1/1024 count as that.
_LEAST_STEP = -10 * STEPS_AN_OCTAVE

Cell = tuple[int, int]


@dataclass(frozen=True)
class BoxShapes:
    """Widths and heights of boxes, class by class.

    Attributes:
        counts: Class name to how many boxes each cell holds. The boxes of a cell `(i, j)` are about 2^(i/4) as wide as
            their images and 2^(j/4) as high.
        longer_side: Of the image that the median box lies in, in pixels.
    """

    counts: Mapping[str, Mapping[Cell, int]]
    longer_side: float

    @classmethod
    def counted(cls, boxes: BoxArrays, names: Mapping[int, str]) -> BoxShapes:
        """Those of boxes.

        Args:
            boxes: At least one.
            names: Class names by label-map id.
        """
        across, down = np.maximum(boxes.image_width, 1), np.maximum(boxes.image_height, 1)
        cells = np.stack([_steps(boxes.width / across), _steps(boxes.height / down)], axis=1)
        counts = {
            name: Counter((int(width), int(height)) for width, height in cells[boxes.label == label])
            for label, name in names.items()
        }
        return cls(counts, float(np.median(np.maximum(across, down))))

    @classmethod
    def read(cls, split: Mapping[str, Any]) -> BoxShapes | None:
        """Those of a split of `dataset.json`; None where it has none, as that of an older version."""
        written = split.get("box_shapes")
        if not written:
            return None
        counts = {
            name: {_cell(key): int(count) for key, count in cells.items()}
            for name, cells in written["by_class"].items()
        }
        return cls(counts, float(written["median_longer_side"]))

    def as_json(self) -> dict[str, Any]:
        """What `read` reads."""
        return {
            "steps_an_octave": STEPS_AN_OCTAVE,
            "median_longer_side": self.longer_side,
            "by_class": {
                name: {f"{width} {height}": count for (width, height), count in sorted(cells.items())}
                for name, cells in self.counts.items()
            },
        }


def _steps(shares: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    logarithms = np.log2(np.clip(shares, 2.0**-20, 1.0))
    steps: NDArray[np.int64] = np.maximum(np.rint(STEPS_AN_OCTAVE * logarithms), _LEAST_STEP).astype(np.int64)
    return steps


def _cell(key: str) -> Cell:
    width, height = map(int, key.split())
    return width, height


def side(step: int) -> float:
    """The share of an image's side for which a step stands."""
    return math.pow(2.0, step / STEPS_AN_OCTAVE)
