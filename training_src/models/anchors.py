# SPDX-License-Identifier: Apache-2.0
"""Anchors: at each cell of each feature map, boxes of a few scales and aspect ratios.

RetinaNet (https://arxiv.org/abs/1708.02002, section 4), SSD (https://arxiv.org/abs/1512.02325, section 2.2) and
Faster R-CNN (https://arxiv.org/abs/1506.01497, section 3.1); OD API `anchor_generators`. A size is a Python int where
it is known before the graph is made, else a scalar tensor.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf

from training_src.models.config.anchors import (
    AnchorGenerator,
    GridAnchorGenerator,
    MultiscaleAnchorGenerator,
    SsdAnchorGenerator,
)
from training_src.models.errors import ConfigError

Size: TypeAlias = "int | tf.Tensor"
# Of the square in the lowest layer of SSD, where it is reduced to three boxes.
REDUCED_SCALE = 0.1


def generate_anchors(
    config: AnchorGenerator, feature_map_shapes: Sequence[tuple[Size, Size]], height: Size, width: Size
) -> tf.Tensor:
    """All anchors of an image, finest map first, each map row-major over y, x, then the anchors of a cell.

    Args:
        config: Which generator, and its settings.
        feature_map_shapes: Height and width of each map.
        height: The image's, in pixels, padding included.
        width: The image's, in pixels, padding included.

    Returns:
        Shape `(anchors, 4)`, float32: ymin, xmin, ymax, xmax, not clipped; in pixels for the grid generator and where
        `normalize_coordinates` is false, else normalised to the image.
    """
    known = all(isinstance(size, int) for shape in [*feature_map_shapes, (height, width)] for size in shape)
    if not known:
        return _generate(config, feature_map_shapes, height, width)
    # Outside the graph, which then holds the result only.
    with tf.init_scope():
        return _generate(config, feature_map_shapes, height, width)


def anchors_per_cell(config: AnchorGenerator, maps: int) -> list[int]:
    """How many anchors stand at each cell of each of so many maps."""
    if config.multiscale_anchor_generator:
        multiscale = config.multiscale_anchor_generator
        return [len(multiscale.aspect_ratios) * multiscale.scales_per_octave] * maps
    if config.grid_anchor_generator:
        return [len(config.grid_anchor_generator.scales) * len(config.grid_anchor_generator.aspect_ratios)]
    assert config.ssd_anchor_generator is not None  # the config holds exactly one
    return [len(boxes) for boxes in _ssd_boxes(config.ssd_anchor_generator)]


def _generate(config: AnchorGenerator, shapes: Sequence[tuple[Size, Size]], height: Size, width: Size) -> tf.Tensor:
    if config.multiscale_anchor_generator:
        return _multiscale_anchors(config.multiscale_anchor_generator, shapes, height, width)
    if config.grid_anchor_generator:
        return _grid_anchors(config.grid_anchor_generator, shapes[0])
    assert config.ssd_anchor_generator is not None  # the config holds exactly one
    return _ssd_anchors(config.ssd_anchor_generator, shapes, height, width)


def _multiscale_anchors(
    config: MultiscaleAnchorGenerator, shapes: Sequence[tuple[Size, Size]], height: Size, width: Size
) -> tf.Tensor:
    levels = []
    for index, shape in enumerate(shapes):
        stride = 2 ** (config.min_level + index)
        octave = [2.0 ** (step / config.scales_per_octave) for step in range(config.scales_per_octave)]
        base = config.anchor_scale * stride
        offset = (_offset(stride, height), _offset(stride, width))
        levels.append(_tile(shape, _every(octave, config.aspect_ratios), (base, base), (stride, stride), offset))
    anchors = tf.concat(levels, axis=0)
    return anchors * (1.0 / _floats(height, width, height, width)) if config.normalize_coordinates else anchors


def _grid_anchors(config: GridAnchorGenerator, shape: tuple[Size, Size]) -> tf.Tensor:
    return _tile(
        shape,
        _every(config.scales, config.aspect_ratios),
        (config.height, config.width),
        (config.height_stride, config.width_stride),
        (config.height_offset, config.width_offset),
    )


def _ssd_anchors(
    config: SsdAnchorGenerator, shapes: Sequence[tuple[Size, Size]], height: Size, width: Size
) -> tf.Tensor:
    image = _floats(height, width)
    # Squares stay squares in an image that is none.
    base = tf.reduce_min(image) / image * _floats(config.base_anchor_height, config.base_anchor_width)
    layers = []
    for index, (shape, boxes) in enumerate(zip(shapes, _ssd_boxes(config), strict=True)):
        stride = 1.0 / _floats(*shape)
        if config.height_stride:
            stride = _floats(config.height_stride[index], config.width_stride[index]) / image
        offset = 0.5 * stride
        if config.height_offset:
            offset = _floats(config.height_offset[index], config.width_offset[index]) / image
        layers.append(_tile(shape, boxes, base, stride, offset))
    return tf.concat(layers, axis=0)


def _ssd_boxes(config: SsdAnchorGenerator) -> list[list[tuple[float, float]]]:
    """Scale and aspect ratio of each anchor of a cell, map by map."""
    scales = list(config.scales)
    if not scales:
        if config.num_layers < 2:
            raise ConfigError(
                f"ssd_anchor_generator: num_layers is {config.num_layers}, which needs scales to be set; set them"
            )
        step = (config.max_scale - config.min_scale) / (config.num_layers - 1)
        scales = [config.min_scale + step * layer for layer in range(config.num_layers)]
    layers = []
    for scale, next_scale in zip(scales[: config.num_layers], [*scales, 1.0][1:], strict=False):
        boxes = [(scale, ratio) for ratio in config.aspect_ratios]
        if config.interpolated_scale_aspect_ratio > 0:
            boxes.append((math.sqrt(scale * next_scale), config.interpolated_scale_aspect_ratio))
        layers.append(boxes)
    if config.reduce_boxes_in_lowest_layer:
        layers[0] = [(REDUCED_SCALE, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
    return layers


def _every(scales: Sequence[float], ratios: Sequence[float]) -> list[tuple[float, float]]:
    """Within a cell: every scale of the first ratio, then every scale of the second."""
    return [(scale, ratio) for ratio in ratios for scale in scales]


def _tile(
    shape: tuple[Size, Size],
    boxes: Sequence[tuple[float, float]],
    base: Sequence[float] | tf.Tensor,
    stride: Sequence[float] | tf.Tensor,
    offset: Sequence[float] | tf.Tensor,
) -> tf.Tensor:
    """A cell's boxes (scale and width / height) around the centre of each cell."""
    scales = tf.constant([scale for scale, _ in boxes], tf.float32)
    roots = tf.sqrt(tf.constant([ratio for _, ratio in boxes], tf.float32))
    sizes = tf.stack([scales / roots * base[0], scales * roots * base[1]], axis=-1)
    ys = tf.range(shape[0], dtype=tf.float32) * tf.cast(stride[0], tf.float32) + tf.cast(offset[0], tf.float32)
    xs = tf.range(shape[1], dtype=tf.float32) * tf.cast(stride[1], tf.float32) + tf.cast(offset[1], tf.float32)
    centres = tf.stack(tf.meshgrid(ys, xs, indexing="ij"), axis=-1)[:, :, None, :]
    return tf.reshape(tf.concat([centres - 0.5 * sizes, centres + 0.5 * sizes], axis=-1), [-1, 4])


def _offset(stride: int, size: Size) -> tf.Tensor:
    """Cells are centred where the stride divides the image; elsewhere the first stands at its border, as in the API."""
    divides = tf.math.logical_or(tf.equal(size % stride, 0), tf.equal(size, 1))
    return tf.where(divides, stride / 2, 0.0)


def _floats(*values: float | tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.cast(value, tf.float32) for value in values])
