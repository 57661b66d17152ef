# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization of an OpenVINO model: convolutions and matrix products in int8, the rest in float32.

Weights are rounded by output channel; activations by tensor, to the range that they have on calibration images. Both
are symmetric around 0, so that padding stays exact. https://arxiv.org/abs/1712.05877, section 2, and
OpenVINO's operation set (FakeQuantize-1).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from training_src.errors import DataError
from training_src.export.openvino_core import core

Image = NDArray[np.uint8]
# How many axes of the weights stand for output channels.
CHANNEL_AXES = {"Convolution": 1, "GroupConvolution": 2, "MatMul": 1}
GREATEST = 127
LEVELS = 256
# Of a tensor that is 0 on every image.
LEAST_RANGE = 1e-6


@dataclass(frozen=True)
class Int8:
    """What was written.

    Attributes:
        bytes: Of the .xml file and the weights beside it.
        images: How many images the ranges come from.
        operations: How many convolutions and matrix products take int8.
    """

    bytes: int
    images: int
    operations: int

    def __str__(self) -> str:
        return (
            f"{self.bytes / 1e6:.2f} MB, {self.operations} convolutions and matrix products in int8, "
            f"calibrated on {self.images} images"
        )


def save_int8(source: Path, images: Iterable[Image], path: Path) -> Int8:
    """Write the int8 form of a model.

    Args:
        source: The float32 model's .xml file; its one input takes `(1, height, width, 3)` uint8.
        images: To calibrate with, `(height, width, 3)`, as the model will meet them. Never the test split.
        path: Of the .xml file to write; its weights go beside it.

    Raises:
        DataError: If there is no image.
    """
    model = core().read_model(source)
    weighted = [node for node in model.get_ordered_ops() if _has_weights(node)]
    inputs = {_key(node.input_value(0)): node.input_value(0) for node in weighted}
    ranges, count = _ranges(model, list(inputs.values()), images)
    if count == 0:
        raise DataError("There is no image to calibrate int8 with; give the validation split images.")
    rounded = {
        key: _rounded(value, *bounds) for (key, value), bounds in zip(inputs.items(), ranges.tolist(), strict=True)
    }
    for node in weighted:
        node.input(0).replace_source_output(rounded[_key(node.input_value(0))])
        node.input(1).replace_source_output(_integers(node))
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, str(path), compress_to_fp16=False)
    size = sum(file.stat().st_size for file in (path, path.with_suffix(".bin")))
    return Int8(size, count, len(weighted))


def _has_weights(node: ov.Node) -> bool:
    return node.get_type_name() in CHANNEL_AXES and node.input_value(1).get_node().get_type_name() == "Constant"


def _key(output: ov.Output) -> tuple[str, int]:
    return output.get_node().get_friendly_name(), output.get_index()


def _ranges(model: ov.Model, values: list[ov.Output], images: Iterable[Image]) -> tuple[NDArray[np.float64], int]:
    """The mean over images of each value's least and greatest element, `(values, 2)`, and the number of images.

    The mean, not the extremes: a single odd image must not make all others coarse.
    """
    bounds = [
        reduce(value, ops.constant(np.arange(value.get_partial_shape().rank.get_length())), True)
        for value in values
        for reduce in (ops.reduce_min, ops.reduce_max)
    ]
    flat = [ops.reshape(bound, ops.constant([1]), False) for bound in bounds]
    observer = ov.Model([ops.result(ops.concat(flat, 0))], model.get_parameters(), "ranges")
    compiled = core().compile_model(observer, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    total, count = np.zeros(len(bounds)), 0
    for image in images:
        total += compiled([image[None]])[0]
        count += 1
    return (total / max(count, 1)).reshape(-1, 2), count


def _rounded(value: ov.Output, least: float, greatest: float) -> ov.Output:
    """The value in 256 steps: from 0 where it is never negative, else around 0."""
    high = max(abs(least), abs(greatest), LEAST_RANGE)
    low = 0.0 if least >= 0 else -high * (GREATEST + 1) / GREATEST
    limits = [ops.constant(np.float32(limit)) for limit in (low, high)]
    return ops.fake_quantize(value, *limits, *limits, LEVELS).output(0)


def _integers(node: ov.Node) -> ov.Output:
    """A node's weights as int8 times a scale for each output channel."""
    weights = node.input_value(1).get_node().get_data()
    if node.get_type_name() == "MatMul":
        axes: tuple[int, ...] = (-1,) if node.get_attributes()["transpose_b"] else (-2,)
    else:
        axes = tuple(range(CHANNEL_AXES[node.get_type_name()], weights.ndim))
    scale = np.maximum(np.abs(weights).max(axis=axes, keepdims=True), LEAST_RANGE) / GREATEST
    integers = np.clip(np.round(weights / scale), -GREATEST, GREATEST).astype(np.int8)
    return ops.multiply(ops.convert(ops.constant(integers), "f32"), ops.constant(scale.astype(np.float32))).output(0)
