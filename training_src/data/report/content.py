# SPDX-License-Identifier: Apache-2.0
"""What the data set's report is made of: what preparation collects on its way through the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.data.dataset import Fault
from training_src.models.anchor_overlaps import Anchors, BoxArrays

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
