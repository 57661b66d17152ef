# SPDX-License-Identifier: Apache-2.0
"""Which classes' boxes no anchor matches: said before the first step, since no training mends it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from training_src.models.anchor_overlaps import Anchors, BoxArrays, anchors_of, best_overlaps, scaled_boxes
from training_src.models.config.pipeline import PipelineDescription
from training_src.training.records import Records

# Images that are looked at, spread evenly over all.
SAMPLE = 1000
# Of two stages the first proposes boxes, and the second takes those for right that overlap by so much:
# https://arxiv.org/abs/1506.01497, section 3.1.2 has the first's 0.7, which few boxes reach and all are learnt without.
_SECOND_STAGE_THRESHOLD = 0.5
# Of a class's boxes: where fewer have an anchor, the class is named.
HALF = 0.5
# Classes that the line of shares names, those with the least.
SHOWN = 12


@dataclass(frozen=True)
class ClassReach:
    """What anchors reach of a class's boxes, as images are before any augmentation.

    Attributes:
        boxes: How many there are.
        share: Of them those that have an anchor of the threshold's IoU where they stand.
        width, height: Of the median box, in pixels of the network's input.
    """

    name: str
    boxes: int
    share: float
    width: float
    height: float


def anchor_reach(
    anchors: Anchors, threshold: float, boxes: BoxArrays | None, names: Mapping[int, str]
) -> list[ClassReach]:
    """Every class that has a box, those whose boxes are reached least first.

    Args:
        anchors: The detector's.
        threshold: IoU from which an anchor counts.
        boxes: Those to train on; of many, an even sample. None where there is none.
        names: Class names by label-map id.
    """
    if boxes is None:
        return []
    _, here, _ = best_overlaps(boxes, anchors)
    widths, heights = scaled_boxes(boxes, anchors)
    found = []
    for label, name in names.items():
        own = boxes.label == label
        if own.any():
            share = float((here[own] >= threshold).mean())
            sides = float(np.median(widths[own])), float(np.median(heights[own]))
            found.append(ClassReach(name, int(own.sum()), share, *sides))
    return sorted(found, key=lambda one: one.share)


def reach_lines(
    description: PipelineDescription, boxes: BoxArrays | None, names: Mapping[int, str], *, bundled: bool
) -> Iterator[tuple[str, str]]:
    """A subject and a sentence each: the classes' shares, and a warning for each class that is hardly reached.

    Nothing is said of detectors whose input is as large as the image.

    Args:
        description: Of what is trained.
        boxes: Those to train on, such as `boxes_of` gives; None where there is none.
        names: Class names by label-map id.
        bundled: Whether the config is not the user's own.
    """
    anchors = anchors_of(description)
    if anchors is None:
        return
    two_stages = description.config.model.faster_rcnn is not None
    threshold = _SECOND_STAGE_THRESHOLD if two_stages else anchors.threshold
    classes = anchor_reach(anchors, threshold, boxes, names)
    if not classes:
        return
    shown = ", ".join(f"{one.name} {100 * one.share:.0f} %" for one in classes[:SHOWN])
    more = f", and {len(classes) - SHOWN} classes with more" if len(classes) > SHOWN else ""
    yield "anchors", f"of IoU {threshold:g} or more for the boxes of {shown}{more}"
    for one in classes:
        if one.share < HALF:
            yield "attention", _warning(one, anchors, threshold, bundled=bundled)


def _warning(one: ClassReach, anchors: Anchors, threshold: float, *, bundled: bool) -> str:
    median = f"the median one is {one.width:.0f}x{one.height:.0f} pixels at {anchors.width}x{anchors.height}"
    way_out = (
        "give the config a larger image_resizer or other anchors, or take a small bundled one, which follows the data"
    )
    if bundled:
        way_out = "take an architecture with a larger input or finer anchors, or cut the images into tiles"
    return (
        f"only {100 * one.share:.0f} % of the {one.boxes} boxes of {one.name} have an anchor of IoU {threshold:g} "
        f"({median}), so it will hardly be learnt: {way_out}"
    )


def boxes_of(records: Records) -> BoxArrays | None:
    """The boxes of the training images, of many an even sample's; None where there is none."""
    rows = []
    for index in range(0, len(records), -(-len(records) // SAMPLE)):
        example = records[index]
        for label, (top, left, bottom, right) in zip(example.labels, example.boxes, strict=True):
            width, height = (right - left) * example.width, (bottom - top) * example.height
            centre = ((left + right) / 2, (top + bottom) / 2)
            rows.append((width, height, example.width, example.height, *centre, label))
    if not rows:
        return None
    *columns, labels = np.array(rows, np.float32).T
    width, height, across, down, x, y = columns
    return BoxArrays(width, height, across, down, x, y, labels.astype(np.int64), np.zeros(len(rows), np.int64))
