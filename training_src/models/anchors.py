# SPDX-License-Identifier: Apache-2.0
"""Anchors of a feature pyramid: at each cell of each level, boxes of a few scales and aspect ratios.

RetinaNet, https://arxiv.org/abs/1708.02002, section 4; OD API `multiscale_anchor_generator`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training_src.models.config.anchors import MultiscaleAnchorGenerator

Floats = NDArray[np.float32]


def multiscale_anchors(
    config: MultiscaleAnchorGenerator, feature_map_shapes: Sequence[tuple[int, int]], height: int, width: int
) -> Floats:
    """All anchors of an image, finest level first, each level row-major over y, x, then the anchors of a cell.

    Args:
        config: Levels, scale, aspect ratios (width / height) and scales per octave.
        feature_map_shapes: Height and width of each level's map.
        height: The image's, in pixels.
        width: The image's, in pixels.

    Returns:
        Shape `(anchors, 4)`, float32: ymin, xmin, ymax, xmax, normalised to the image, not clipped.
    """
    levels = [
        _level_anchors(config, 2 ** (config.min_level + index), shape, height, width)
        for index, shape in enumerate(feature_map_shapes)
    ]
    return np.concatenate(levels) * (np.float32(1) / np.array([height, width, height, width], np.float32))


def anchors_per_cell(config: MultiscaleAnchorGenerator) -> int:
    """How many anchors stand at each cell."""
    return len(config.aspect_ratios) * config.scales_per_octave


def _level_anchors(
    config: MultiscaleAnchorGenerator, stride: int, shape: tuple[int, int], height: int, width: int
) -> Floats:
    octave = [2.0 ** (step / config.scales_per_octave) for step in range(config.scales_per_octave)]
    # Within a cell: every scale of the first ratio, then every scale of the second.
    scales, ratios = np.meshgrid(np.array(octave, np.float32), np.sqrt(np.array(config.aspect_ratios, np.float32)))
    base = np.float32(config.anchor_scale * stride)
    heights = (scales / ratios * base).reshape(-1)
    widths = (scales * ratios * base).reshape(-1)
    ys = np.arange(shape[0], dtype=np.float32) * np.float32(stride) + _offset(stride, height)
    xs = np.arange(shape[1], dtype=np.float32) * np.float32(stride) + _offset(stride, width)
    centre_y, centre_x = np.meshgrid(ys, xs, indexing="ij")
    centres = np.stack([centre_y, centre_x], axis=-1)[:, :, None, :]
    halves = np.stack([heights, widths], axis=-1) / 2
    return np.concatenate([centres - halves, centres + halves], axis=-1).reshape(-1, 4).astype(np.float32)


def _offset(stride: int, size: int) -> np.float32:
    """Cells are centred where the stride divides the image; elsewhere the first stands at its border, as in the API."""
    return np.float32(stride / 2 if size % stride == 0 or size == 1 else 0)
