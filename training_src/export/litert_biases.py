# SPDX-License-Identifier: Apache-2.0
"""Room for biases in an int8 file.

A bias becomes an int32 in steps of input times weight. Where batch norm has silenced a channel its weights are nearly 0
and its bias is not, so that the bias would take more than an int32 has: it would be cut, and with it what the channel
says.
"""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

# The axis of a weight that stands for output channels.
CHANNEL_AXES = {schema.BuiltinOperator.CONV_2D: 0, schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3}
# Half of what an int32 has.
GREATEST_BIAS = 2.0**30
STEPS, GREATEST_WEIGHT = 255, 127


def with_room_for_biases(content: bytes, ranges: dict[str, dict[str, NDArray[np.float32]]]) -> bytes:
    """The float32 file, where needed with one weight of a channel so large that the channel's bias fits.

    It changes a channel by less than a ten-thousandth of its bias.

    Args:
        content: The file.
        ranges: Of its tensors, by name.
    """
    written = bytearray(content)
    model = schema.Model.GetRootAs(written, 0)
    graph = model.Subgraphs(0)
    for place in range(graph.OperatorsLength()):
        operation = graph.Operators(place)
        axis = CHANNEL_AXES.get(model.OperatorCodes(operation.OpcodeIndex()).BuiltinCode())
        if axis is None or operation.InputsLength() < 3 or operation.Inputs(2) < 0:
            continue
        found = ranges[graph.Tensors(operation.Inputs(0)).Name().decode()]
        step = float(found["max"].max() - found["min"].min()) / STEPS
        weights, bias = (_values(model, graph.Tensors(operation.Inputs(index))) for index in (1, 2))
        needed = GREATEST_WEIGHT * np.abs(bias) / (GREATEST_BIAS * max(step, 1e-12))
        by_channel = np.moveaxis(weights, axis, 0)
        for channel in np.flatnonzero(np.abs(by_channel).reshape(len(bias), -1).max(axis=1) < needed):
            _raise(by_channel[channel], float(needed[channel]))
    return bytes(written)


def _values(model: Any, tensor: Any) -> NDArray[np.float32]:
    """A constant's numbers, where they lie."""
    flat = model.Buffers(tensor.Buffer()).DataAsNumpy().view(np.float32)
    return np.asarray(flat).reshape(tensor.ShapeAsNumpy())


def _raise(weights: NDArray[np.float32], size: float) -> None:
    """Give the weight that is furthest from 0 that size."""
    at = np.unravel_index(np.abs(weights).argmax(), weights.shape)
    weights[at] = np.copysign(size, weights[at])
