# SPDX-License-Identifier: Apache-2.0
"""Biases of an int8 file: room for them, and what they have to make up for.

A bias becomes an int32 in steps of input times weight. Where batch norm has silenced a channel its weights are nearly 0
and its bias is not, so that the bias would take more than an int32 has: it would be cut, and with it what the channel
says.
"""

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from training_src.export.litert_converter import IMAGE
from training_src.export.litert_ranges import Ranges, Samples

# The axis of a weight that stands for output channels.
CHANNEL_AXES = {schema.BuiltinOperator.CONV_2D: 0, schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3}
# Half of what an int32 has.
GREATEST_BIAS = 2.0**30
STEPS, GREATEST_WEIGHT = 255, 127


def with_fitting_biases(content: bytes, ranges: Ranges, samples: Samples) -> bytes:
    """The float32 file, made ready to be rounded to eight bits: biases fit and make up for what weights lose.

    One weight of a silenced channel becomes so large that the channel's bias fits, which changes the channel by less
    than a ten-thousandth of its bias. And from each bias goes what the rounded weights add on average: where large
    weights and a large bias cancel, that is more than what the channel has to say.
    https://arxiv.org/abs/1906.04721, section 4.2.

    Args:
        content: The file.
        ranges: Of its tensors, by name.
        samples: The calibration images, as the file takes them.
    """
    written = bytearray(content)
    model = schema.Model.GetRootAs(written, 0)
    convolutions = list(_convolutions(model))
    means = _means(content, {taken for _, taken, _, _ in convolutions}, samples)
    users = Counter(bias.ctypes.data for _, _, _, bias in convolutions)
    for axis, taken, weights, bias in convolutions:
        found = ranges[model.Subgraphs(0).Tensors(taken).Name().decode()]
        step = float(found["max"].max() - found["min"].min()) / STEPS
        needed = GREATEST_WEIGHT * np.abs(bias) / (GREATEST_BIAS * max(step, 1e-12))
        by_channel = np.moveaxis(weights, axis, 0)
        for channel in np.flatnonzero(np.abs(by_channel).reshape(len(bias), -1).max(axis=1) < needed):
            _raise(by_channel[channel], float(needed[channel]))
        if users[bias.ctypes.data] > 1:
            continue  # heads of several maps have it in common, and each sees something else
        lost = _rounded(by_channel) - by_channel
        # A depthwise convolution's channels see one of the input's each.
        seen = (
            means[taken] * lost if axis == 0 else means[taken].reshape(-1, 1, 1, 1) * lost.reshape(len(bias), -1, 1, 1)
        )
        bias -= seen.reshape(len(bias), -1).sum(axis=1)
    return bytes(written)


def _convolutions(model: Any) -> Iterator[tuple[int, int, NDArray[np.float32], NDArray[np.float32]]]:
    """The axis of output channels, the input tensor, weights and bias of each; the last two where they lie."""
    graph = model.Subgraphs(0)
    for place in range(graph.OperatorsLength()):
        operation = graph.Operators(place)
        axis = CHANNEL_AXES.get(model.OperatorCodes(operation.OpcodeIndex()).BuiltinCode())
        if axis is not None and operation.InputsLength() > 2 and operation.Inputs(2) >= 0:
            weights, bias = (_values(model, graph.Tensors(operation.Inputs(index))) for index in (1, 2))
            yield axis, int(operation.Inputs(0)), weights, bias


def _means(content: bytes, tensors: set[int], samples: Samples) -> dict[int, NDArray[np.float64]]:
    """Of each channel of tensors, over places and images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that all tensors kept take memory
        interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    totals, count = dict.fromkeys(tensors, np.zeros(1)), 0
    for sample in samples:
        interpreter.set_tensor(image["index"], sample[IMAGE])
        interpreter.invoke()
        count += 1
        for tensor in tensors:
            totals[tensor] = totals[tensor] + interpreter.get_tensor(tensor).mean(axis=(0, 1, 2), dtype=np.float64)
    return {tensor: total / count for tensor, total in totals.items()}


def _rounded(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """As the quantizer does it: each output channel, the first axis, in steps of its own."""
    greatest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    step = np.maximum(greatest, np.finfo(np.float32).tiny) / GREATEST_WEIGHT
    return np.asarray(np.round(weights / step) * step, np.float32)


def _values(model: Any, tensor: Any) -> NDArray[np.float32]:
    """A constant's numbers, where they lie."""
    flat = model.Buffers(tensor.Buffer()).DataAsNumpy().view(np.float32)
    return np.asarray(flat).reshape(tensor.ShapeAsNumpy())


def _raise(weights: NDArray[np.float32], size: float) -> None:
    """Give the weight that is furthest from 0 that size."""
    at = np.unravel_index(np.abs(weights).argmax(), weights.shape)
    weights[at] = np.copysign(size, weights[at])
