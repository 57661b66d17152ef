# SPDX-License-Identifier: Apache-2.0
"""What the data set's report is made of: what preparation collects on its way through the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.data.dataset import Fault

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

# Bounds that whoever collects keeps, so that memory and the page stay small.
MOST_FAULTS = 200
MOST_FAULT_PICTURES = 24


@dataclass(frozen=True)
class Sample:
    """An image to show with its boxes.

    Attributes:
        source_id: Its name in the data set.
        split: Train, validation or test; empty where it is in none.
        encoded: JPEG or PNG, the original or a smaller copy; what cannot be decoded is shown as such.
        width, height: Of the original, in pixels.
        boxes: float32 [N, 4]: xmin, ymin, xmax, ymax in the original's pixels; they may lie outside.
        labels: int64 [N], label-map ids.
        names: N class names.
    """

    source_id: str
    split: str
    encoded: bytes
    width: int
    height: int
    boxes: Floats
    labels: Integers
    names: tuple[str, ...]


@dataclass(frozen=True)
class FaultPicture:
    """A fault and the image that has it.

    Attributes:
        fault: What is wrong.
        sample: Its image; None where there is none to show.
        box: Which of the sample's boxes is meant; None where the fault is the image's.
    """

    fault: Fault
    sample: Sample | None = None
    box: int | None = None


@dataclass(frozen=True)
class BoxArrays:
    """Boxes as columns of equal length N: all of a data set, or an even sample.

    Attributes:
        width, height: float32 [N], pixels.
        image_width, image_height: float32 [N], pixels.
        centre_x, centre_y: float32 [N], as shares of the image's width and height.
        label: int64 [N], label-map ids.
        split: int64 [N], index into `splits.SPLITS`.
    """

    width: Floats
    height: Floats
    image_width: Floats
    image_height: Floats
    centre_x: Floats
    centre_y: Floats
    label: Integers
    split: Integers

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class AnchorLevel:
    """Anchors of one feature map, which stand at every cell of a grid.

    Attributes:
        name: Such as `stride 8`.
        shapes: float32 [S, 2]: width, height, in pixels of the network's input.
        stride: Float (x, y), the grid's step in those pixels.
        offset: Float (x, y), the first cell's centre.
        cells: (columns, rows).
    """

    name: str
    shapes: Floats
    stride: tuple[float, float]
    offset: tuple[float, float]
    cells: tuple[int, int]


@dataclass(frozen=True)
class Anchors:
    """A detector's anchors and what it takes a box and an anchor for a match.

    Attributes:
        detector: Architecture or configuration file, for people.
        width, height: Of the network's input, in pixels (the greatest, where the aspect ratio is kept).
        shorter_side: To which an image's shorter side is scaled where its aspect ratio is kept; 0 where it is not.
        threshold: IoU from which an anchor learns a box.
        forced: Whether a box that no anchor reaches is given its best one all the same.
        levels: Finest first.
    """

    detector: str
    width: int
    height: int
    shorter_side: int
    threshold: float
    forced: bool
    levels: tuple[AnchorLevel, ...]


@dataclass(frozen=True)
class Collected:
    """Figures of a data set's images and boxes, from which those of `dataset.json` and of the page are computed.

    Attributes:
        names: Class names by label-map id, in the ids' order.
        boxes: See there.
        brightness: float32 [I]: each image's mean luma, 0..255; all images, or an even sample.
        brightness_split: int64 [I], index into `splits.SPLITS`.
        co_occurrence: int64 [C, C], in the order of `names`: images that hold both classes; on the diagonal, the class.
        anchors: None where no detector is known.
    """

    names: Mapping[int, str]
    boxes: BoxArrays
    brightness: Floats
    brightness_split: Integers
    co_occurrence: Integers
    anchors: Anchors | None = None


@dataclass(frozen=True)
class ReportContent:
    """All that the page shows.

    Attributes:
        description: The content of dataset.json, with the figures.
        collected: See there.
        samples: A few of each split.
        faults: The first `MOST_FAULTS`, errors before warnings before notices.
        fault_pictures: At most `MOST_FAULT_PICTURES`.
    """

    description: Mapping[str, Any]
    collected: Collected
    samples: Sequence[Sample] = ()
    faults: Sequence[Fault] = ()
    fault_pictures: Sequence[FaultPicture] = ()
