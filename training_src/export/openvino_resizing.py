# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's resizing in OpenVINO's operations, to the last bit of a coordinate, of the pixels that count alone.

A picture is turned into floating point after its rows and columns were gathered, so that one of any size costs what the
pixels of the network's input cost. OpenVINO's own Interpolate takes the whole picture in float32, finds other places
for a pixel between two others, and takes another pixel for the nearest.
"""

from typing import NamedTuple

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.frontend import NodeContext
from openvino.frontend.tensorflow import ConversionExtension


class _Places(NamedTuple):
    """Where each pixel of a side lies in the picture: between two of its pixels, and in which share towards the second.

    `first` and `second` are `(length,)` int32, `share` is `(length,)` float32.
    """

    first: ov.Node
    second: ov.Node
    share: ov.Node


class _Sides(NamedTuple):
    """A picture as lines `(1, height, width * channels)`, where the pixels of the wanted one lie, and its shape."""

    lines: ov.Node
    rows: _Places
    columns: _Places
    shape: ov.Node


def _bilinear(node: NodeContext) -> list[ov.Output]:
    """`ResizeBilinear` without aligned corners or pixel centres, of `(1, height, width, channels)` in any type.

    The order of operations is TensorFlow's, so that the result is its to the last bit or the one before.
    """
    lines, rows, columns, shape = _sides(node)

    def along_columns(row: ov.Node) -> ov.Node:
        line = _taken(lines, row, 1)
        first, second = (_floats(_taken(line, each, 2)) for each in (columns.first, columns.second))
        return _between(first, second, columns.share)

    top, bottom = along_columns(rows.first), along_columns(rows.second)
    resized = _between(top, bottom, ops.unsqueeze(rows.share, _axis(1)))
    return [ops.reshape(resized, shape, False).output(0)]


def _nearest(node: NodeContext) -> list[ov.Output]:
    """`ResizeNearestNeighbor` likewise: the pixel at or before a place."""
    lines, rows, columns, shape = _sides(node)
    resized = _taken(_taken(lines, rows.first, 1), columns.first, 2)
    return [ops.reshape(resized, shape, False).output(0)]


EXTENSIONS = [
    ConversionExtension("ResizeBilinear", _bilinear),
    ConversionExtension("ResizeNearestNeighbor", _nearest),
]
"""To be given to the converter."""


def _sides(node: NodeContext) -> _Sides:
    """What is resized, as lines.

    Were its channels an axis of their own, OpenVINO would move them in front of the whole picture, not of what is left.
    """
    if node.get_attribute("align_corners") or node.get_attribute("half_pixel_centers"):
        raise NotImplementedError("only resizing by a pixel's corner is known here")
    images, wanted = node.get_input(0), ops.convert(node.get_input(1), "i32")
    shape = ops.shape_of(images, "i32")
    rows, columns = (
        _places(ops.gather(shape, _axis(side + 1), _axis(0)), ops.gather(wanted, _axis(side), _axis(0)))
        for side in (0, 1)
    )
    channels = ops.gather(shape, ops.constant([3]), _axis(0))
    lines = ops.reshape(images, ops.constant([0, 0, -1]), True)
    return _Sides(
        lines, rows, _of_channels(columns, channels), ops.concat([ops.constant([1], np.int32), wanted, channels], 0)
    )


def _of_channels(columns: _Places, channels: ov.Node) -> _Places:
    """The same places for each of a column's channels, which lie side by side."""
    every = ops.range(ops.constant(np.int32(0)), ops.squeeze(channels, _axis(0)), ops.constant(np.int32(1)), "i32")
    first, second = (ops.add(ops.unsqueeze(ops.multiply(places, channels), _axis(1)), every) for places in columns[:2])
    share = ops.tile(ops.unsqueeze(columns.share, _axis(1)), ops.concat([ops.constant([1], np.int32), channels], 0))
    return _Places(*(ops.reshape(each, ops.constant([-1]), False) for each in (first, second, share)))


def _places(length: ov.Node, wanted: ov.Node) -> _Places:
    """Places as TensorFlow's `compute_interpolation_weights` finds them, in float32.

    Args:
        length: Scalar int32: of the picture's side.
        wanted: Scalar int32: of the side that it becomes.
    """
    count = ops.range(ops.constant(np.int32(0)), wanted, ops.constant(np.int32(1)), "f32")
    places = ops.multiply(count, _quotient(_floats(length), _floats(wanted)))
    before = ops.floor(places)
    first = ops.convert(before, "i32")
    last = ops.subtract(length, ops.constant(np.int32(1)))
    second = ops.minimum(ops.add(first, ops.constant(np.int32(1))), last)
    return _Places(first, second, ops.subtract(places, before))


def _quotient(dividend: ov.Node, divisor: ov.Node) -> ov.Node:
    """A quotient of whole numbers, the divisor below 4,096, rounded once, as a division rounds it.

    OpenVINO makes of a division a product with the divisor's reciprocal, which is rounded twice, and another pixel is
    then the first at some places. What such a product misses is found exactly by splitting it into halves of twelve
    bits, whose products with the divisor are exact: T. J. Dekker, https://doi.org/10.1007/BF01397083.
    """
    inverse = ops.divide(ops.constant(np.float32(1)), divisor)
    near = ops.multiply(dividend, inverse)
    wide = ops.multiply(near, ops.constant(np.float32(2**12 + 1)))
    high = ops.subtract(wide, ops.subtract(wide, near))
    low = ops.subtract(near, high)
    missed = ops.subtract(ops.subtract(dividend, ops.multiply(high, divisor)), ops.multiply(low, divisor))
    return ops.add(near, ops.multiply(missed, inverse))


def _between(first: ov.Node, second: ov.Node, share: ov.Node) -> ov.Node:
    # Of a sum OpenVINO makes one operation with the product, which is not rounded then.
    return ops.subtract(first, ops.multiply(ops.subtract(first, second), share))


def _taken(images: ov.Node | ov.Output, places: ov.Node, axis: int) -> ov.Node:
    return ops.gather(images, places, _axis(axis))


def _floats(node: ov.Node) -> ov.Node:
    return ops.convert(node, "f32")


def _axis(number: int) -> ov.Node:
    return ops.constant(np.int64(number))
