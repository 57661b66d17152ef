# SPDX-License-Identifier: Apache-2.0
"""A detector's anchors as shapes on grids, and which boxes they reach: plain arithmetic, without TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from training_src.models.config.anchors import (
        GridAnchorGenerator,
        MultiscaleAnchorGenerator,
        SsdAnchorGenerator,
    )
    from training_src.models.config.image_resizer import ImageResizer
    from training_src.models.config.pipeline import PipelineDescription

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

# Faster R-CNN's first stage: https://arxiv.org/abs/1506.01497, section 3.1.2.
_PROPOSAL_THRESHOLD = 0.7
_FIRST_SSD_STRIDE = 16


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

    def of_split(self, split: int) -> BoxArrays | None:
        """Those of one split; None where it has none."""
        wanted = self.split == split
        return BoxArrays(*(column[wanted] for column in vars(self).values())) if wanted.any() else None


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
        decided: What of it the data decided, for people.
    """

    detector: str
    width: int
    height: int
    shorter_side: int
    threshold: float
    forced: bool
    levels: tuple[AnchorLevel, ...]
    decided: tuple[str, ...] = ()


def anchors_of(description: PipelineDescription) -> Anchors | None:
    """Of a detector whose input size does not depend on the image; None for others."""
    model = description.config.model
    family = model.family
    size = _input_size(family.image_resizer)
    if size is None:
        return None
    width, height, shorter = size
    if model.ssd is not None:
        matcher = model.ssd.matcher.argmax_matcher
        threshold, forced = matcher.matched_threshold, matcher.force_match_for_each_row
        generator = model.ssd.anchor_generator
    else:
        assert model.faster_rcnn is not None  # the message holds exactly one
        threshold, forced = _PROPOSAL_THRESHOLD, True
        generator = model.faster_rcnn.first_stage_anchor_generator
    if generator.multiscale_anchor_generator:
        levels = _multiscale(generator.multiscale_anchor_generator, width, height, centred=model.ssd is None)
    elif generator.grid_anchor_generator:
        levels = [_grid(generator.grid_anchor_generator, width, height)]
    else:
        assert generator.ssd_anchor_generator is not None  # the message holds exactly one
        levels = _ssd(generator.ssd_anchor_generator, width, height)
    return Anchors(description.source, width, height, shorter, threshold, forced, tuple(levels))


def scaled_boxes(boxes: BoxArrays, anchors: Anchors) -> tuple[Floats, Floats]:
    """Widths and heights in pixels of the network's input."""
    across, down = _scales(boxes, anchors)
    return np.asarray(boxes.width * across, np.float32), np.asarray(boxes.height * down, np.float32)


def best_overlaps(boxes: BoxArrays, anchors: Anchors) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """How well the best anchor fits each box.

    Returns:
        Shape `(N,)` each: the greatest IoU that any anchor could have if it stood right on the box; the greatest IoU at
        the box's own place; and the level of that anchor.
    """
    across, down = _scales(boxes, anchors)
    width, height = boxes.width * across, boxes.height * down
    x, y = boxes.centre_x * boxes.image_width * across, boxes.centre_y * boxes.image_height * down
    ever, here = np.zeros(len(boxes), np.float32), np.zeros(len(boxes), np.float32)
    home = np.zeros(len(boxes), np.int64)
    for number, level in enumerate(anchors.levels):
        # Of anchors of one shape the nearest overlaps most.
        off_x = _distance(x, level.offset[0], level.stride[0], level.cells[0])
        off_y = _distance(y, level.offset[1], level.stride[1], level.cells[1])
        for anchor_width, anchor_height in level.shapes.tolist():
            ever = np.maximum(ever, _overlap(width, height, anchor_width, anchor_height, 0.0, 0.0))
            found = _overlap(width, height, anchor_width, anchor_height, off_x, off_y)
            home = np.where(found > here, number, home)
            here = np.maximum(here, found)
    return ever, here, home


def _scales(boxes: BoxArrays, anchors: Anchors) -> tuple[Floats, Floats]:
    image_width, image_height = np.maximum(boxes.image_width, 1), np.maximum(boxes.image_height, 1)
    if not anchors.shorter_side:
        return (
            np.asarray(anchors.width / image_width, np.float32),
            np.asarray(anchors.height / image_height, np.float32),
        )
    longest = max(anchors.width, anchors.height)
    factor = np.asarray(
        np.minimum(
            anchors.shorter_side / np.minimum(image_width, image_height),
            longest / np.maximum(image_width, image_height),
        ),
        np.float32,
    )
    return factor, factor


def _distance(places: Floats, offset: float, stride: float, cells: int) -> Floats:
    """To the centre of the nearest cell, along one axis."""
    nearest = np.clip(np.rint((places - offset) / stride), 0, cells - 1)
    return np.asarray(np.abs(places - offset - nearest * stride), np.float32)


def _overlap(
    width: Floats, height: Floats, anchor_width: float, anchor_height: float, off_x: Floats | float,
    off_y: Floats | float,
) -> Floats:  # fmt: skip
    """IoU of boxes and an anchor whose centres lie so far apart."""
    across = np.minimum(np.minimum(width, anchor_width), np.maximum((width + anchor_width) / 2 - off_x, 0))
    down = np.minimum(np.minimum(height, anchor_height), np.maximum((height + anchor_height) / 2 - off_y, 0))
    common = across * down
    return np.asarray(common / np.maximum(width * height + anchor_width * anchor_height - common, 1e-9), np.float32)


def _input_size(resizer: ImageResizer) -> tuple[int, int, int] | None:
    """Width, height and, where the aspect ratio is kept, the shorter side."""
    if resizer.fixed_shape_resizer:
        return resizer.fixed_shape_resizer.width, resizer.fixed_shape_resizer.height, 0
    keep = resizer.keep_aspect_ratio_resizer
    return (keep.max_dimension, keep.max_dimension, keep.min_dimension) if keep else None


def _multiscale(config: MultiscaleAnchorGenerator, width: int, height: int, *, centred: bool) -> list[AnchorLevel]:
    """Of Faster R-CNN they are centred on their cells whatever the image's size is."""
    levels = []
    for level in range(config.min_level, config.max_level + 1):
        stride = 2**level
        octave = [2.0 ** (step / config.scales_per_octave) for step in range(config.scales_per_octave)]
        shapes = _shapes(octave, config.aspect_ratios, config.anchor_scale * stride, config.anchor_scale * stride)
        offset = [stride / 2 if centred or size % stride == 0 else 0.0 for size in (width, height)]
        levels.append(_level(shapes, (stride, stride), (offset[0], offset[1]), width, height))
    return levels


def _grid(config: GridAnchorGenerator, width: int, height: int) -> AnchorLevel:
    shapes = _shapes(config.scales, config.aspect_ratios, config.width, config.height)
    strides = (config.width_stride, config.height_stride)
    return _level(shapes, strides, (config.width_offset, config.height_offset), width, height)


def _ssd(config: SsdAnchorGenerator, width: int, height: int) -> list[AnchorLevel]:
    count = config.num_layers
    step = (config.max_scale - config.min_scale) / max(count - 1, 1)
    scales = [*(config.scales[:count] or [config.min_scale + step * layer for layer in range(count)]), 1.0]
    levels = []
    for layer in range(len(scales) - 1):
        pairs = [(scales[layer], ratio) for ratio in config.aspect_ratios]
        if config.interpolated_scale_aspect_ratio > 0:
            pairs.append((math.sqrt(scales[layer] * scales[layer + 1]), config.interpolated_scale_aspect_ratio))
        if layer == 0 and config.reduce_boxes_in_lowest_layer:
            pairs = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        base = min(width, height)
        shapes = np.concatenate(
            [_shapes([scale], [ratio], base * config.base_anchor_width, base * config.base_anchor_height)
             for scale, ratio in pairs]
        )  # fmt: skip
        cells = [math.ceil(size / (_FIRST_SSD_STRIDE * 2**layer)) for size in (width, height)]
        stride = (width / cells[0], height / cells[1])
        if config.width_stride:
            stride = (config.width_stride[layer], config.height_stride[layer])
        offset = (stride[0] / 2, stride[1] / 2)
        if config.width_offset:
            offset = (config.width_offset[layer], config.height_offset[layer])
        levels.append(_level(shapes, stride, offset, width, height))
    return levels


def _shapes(scales: tuple[float, ...] | list[float], ratios: tuple[float, ...] | list[float], width: float,
            height: float) -> Floats:  # fmt: skip
    pairs = [(scale * math.sqrt(ratio) * width, scale / math.sqrt(ratio) * height)
             for ratio in ratios for scale in scales]  # fmt: skip
    return np.array(pairs, np.float32)


def _level(
    shapes: Floats, stride: tuple[float, float], offset: tuple[float, float], width: int, height: int
) -> AnchorLevel:
    cells = (max(1, math.ceil(width / stride[0])), max(1, math.ceil(height / stride[1])))
    return AnchorLevel(f"stride {round(stride[0])}", shapes, stride, offset, cells)
