# SPDX-License-Identifier: Apache-2.0
"""Weights out of a LiteRT file: those of an SSD MobileNet V2 that the API for TensorFlow 1 trained and converted.

Such a file is a graph without variables. Its convolutions keep the scopes that the variables had, in the names of their
outputs; their kernels are constants of float16, each behind an operator that makes float32 of it; batch norms are
folded into kernel and bias.

Source: https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.models.checkpoints.files import SUFFIX
from training_src.models.checkpoints.slim import slim_names
from training_src.models.errors import CheckpointError

Tensors = dict[str, NDArray[np.float32]]

# The first of the names that an output has of the operators that were folded into one: the last of these.
OUTPUT = re.compile(r"(?P<scope>.+?)(/BatchNorm/FusedBatchNorm(V\d)?|/Relu6|/BiasAdd)")
# A file of LiteRT stores output channels first.
HEIGHT_WIDTH_INPUT_OUTPUT = (1, 2, 3, 0)


@dataclass(frozen=True)
class Convolution:
    """A convolution of the graph.

    Attributes:
        scope: Under which TensorFlow 1 kept its variables.
        kernel: `(height, width, inputs, outputs)`, or `(height, width, channels, 1)` of a depthwise one.
        bias: `(outputs,)`.
    """

    scope: str
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    depthwise: bool


def variables_of(model: bytes, shapes: Mapping[str, Sequence[int]], epsilon: float) -> Tensors:
    """The values of an SSD MobileNet V2's variables.

    Batch norms, which the file has no more, become ones that add the bias and do nothing else.

    Args:
        model: The file.
        shapes: Of the detector's variables, by their checkpoint keys.
        epsilon: What the detector's batch norms add to the variance.

    Returns:
        A value for each key.

    Raises:
        CheckpointError: The file is damaged, or is of another detector.
    """
    names = slim_names({key.removesuffix(SUFFIX): shape for key, shape in shapes.items()})
    if not names:
        raise CheckpointError("a LiteRT file can be read only for SSD MobileNet V2 without a feature pyramid")
    stored = {name: value for each in _convolutions(model) for name, value in _slim_tensors(each, epsilon)}
    if unknown := stored.keys() - names.values():
        raise CheckpointError(f"the detector has no {min(unknown)}, which the LiteRT file has; is it another's?")
    values = {}
    for key, shape in shapes.items():
        name = names[key.removesuffix(SUFFIX)]
        if name not in stored:
            raise CheckpointError(f"the LiteRT file has no {name}, which the detector needs; is it another's?")
        if stored[name].shape != tuple(shape):
            raise CheckpointError(
                f"the LiteRT file's {name} has shape {stored[name].shape}, the detector needs {tuple(shape)}; is it of "
                "another depth or class count?"
            )
        values[key] = stored[name]
    return values


def _slim_tensors(convolution: Convolution, epsilon: float) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """What TensorFlow 1 kept of a convolution and its batch norm, by name."""
    scope, bias = convolution.scope, convolution.bias
    yield f"{scope}/{'depthwise_weights' if convolution.depthwise else 'weights'}", convolution.kernel
    if scope.startswith("BoxPredictor_"):
        yield f"{scope}/biases", bias
        return
    yield f"{scope}/BatchNorm/beta", bias
    yield f"{scope}/BatchNorm/gamma", np.ones_like(bias)
    yield f"{scope}/BatchNorm/moving_mean", np.zeros_like(bias)
    yield f"{scope}/BatchNorm/moving_variance", np.full_like(bias, 1 - epsilon)


def _convolutions(model: bytes) -> list[Convolution]:
    # Only whoever converts has it: no image.
    from ai_edge_litert import schema_py_generated as schema

    if len(model) < 8 or not schema.Model.ModelBufferHasIdentifier(model, 0):
        raise CheckpointError("this is no LiteRT file: one has the letters TFL3 behind its first four bytes")
    try:
        return list(_Graph(model, schema).convolutions())
    except CheckpointError:
        raise
    # Offsets are followed wherever they lead, and what is found there taken for what it should be.
    except Exception as error:
        raise CheckpointError(f"the LiteRT file is damaged ({type(error).__name__} while it was read)") from error


class _Graph:
    """The first graph of a LiteRT file."""

    def __init__(self, model: bytes, schema: Any) -> None:
        self._schema = schema
        self._model = schema.ModelT.InitFromPackedBuf(model)
        self._tensors, self._operators = self._model.subgraphs[0].tensors, self._model.subgraphs[0].operators
        # A dequantized tensor is a stored one with another type.
        self._sources = {
            operator.outputs[0]: operator.inputs[0]
            for operator in self._operators
            if self._kind(operator) == schema.BuiltinOperator.DEQUANTIZE
        }

    def convolutions(self) -> Iterator[Convolution]:
        """In the order in which they are computed."""
        kinds = {self._schema.BuiltinOperator.CONV_2D: False, self._schema.BuiltinOperator.DEPTHWISE_CONV_2D: True}
        for operator in self._operators:
            if (kind := self._kind(operator)) in kinds:
                _, kernel, bias = operator.inputs
                name = self._name(operator.outputs[0])
                if not (match := OUTPUT.match(name)):
                    raise CheckpointError(f"the LiteRT file's convolution {name!r} is none of an SSD MobileNet V2")
                constant = np.ascontiguousarray(self._constant(kernel).transpose(HEIGHT_WIDTH_INPUT_OUTPUT))
                yield Convolution(match["scope"], constant, self._constant(bias), kinds[kind])

    def _kind(self, operator: Any) -> int:
        """The operator's number in `BuiltinOperator`; old files have it in a byte of its own."""
        code = self._model.operatorCodes[operator.opcodeIndex]
        return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))

    def _name(self, tensor: int) -> str:
        return str(self._tensors[tensor].name.decode())

    def _constant(self, tensor: int) -> NDArray[np.float32]:
        """The values of a tensor that the file holds."""
        place = self._sources.get(tensor, tensor)
        stored, name = self._tensors[place], self._name(place)
        types = {self._schema.TensorType.FLOAT16: np.float16, self._schema.TensorType.FLOAT32: np.float32}
        if stored.type not in types:
            known = {number: each.lower() for each, number in vars(self._schema.TensorType).items()}
            raise CheckpointError(
                f"the LiteRT file's {name} is of type {known.get(stored.type)}, not float16 or float32"
            )
        data = self._model.buffers[stored.buffer].data
        if data is None:
            raise CheckpointError(f"the LiteRT file's {name} is no constant, but computed")
        values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), types[stored.type])
        return values.reshape(stored.shape).astype(np.float32)
