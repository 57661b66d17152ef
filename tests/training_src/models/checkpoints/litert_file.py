# SPDX-License-Identifier: Apache-2.0
"""LiteRT files of an SSD MobileNet V2, laid out as TensorFlow's converter lays out those of TensorFlow 1."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from training_src.models.architectures import build_detector
from training_src.models.checkpoints.checkpoint import SUFFIX
from training_src.models.checkpoints.slim import slim_names
from training_src.models.config.pipeline import load_bundled

Tensors = dict[str, NDArray[np.float32]]
DEQUANTIZE, CONV_2D, DEPTHWISE_CONV_2D = (
    schema.BuiltinOperator.DEQUANTIZE,
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
)
TYPES = {"float16": schema.TensorType.FLOAT16, "float32": schema.TensorType.FLOAT32, "uint8": schema.TensorType.UINT8}


def folded_values(shapes: Mapping[str, Any], seed: int = 5) -> Tensors:
    """Random values of a detector's variables as a converter leaves them: of float16, batch norms folded.

    Args:
        shapes: By checkpoint key.
    """
    random = np.random.default_rng(seed)
    neutral = {"gamma": 1.0, "moving_mean": 0.0, "moving_variance": 1 - 1e-3}
    values: Tensors = {}
    for key, shape in shapes.items():
        leaf = key.removesuffix(SUFFIX).rsplit("/", 1)[1]
        drawn = random.normal(0, 0.1, shape).astype(np.float16).astype(np.float32)
        values[key] = np.full(shape, neutral[leaf], np.float32) if leaf in neutral else drawn
    return values


@dataclass
class LiteRtFile:
    """A graph that is written convolution by convolution.

    Attributes:
        type: Of the constants; `float32` stands without a DEQUANTIZE.
        computed: Whether kernels come out of the graph and not out of the file.
    """

    type: str = "float16"
    computed: bool = False
    model: Any = field(default_factory=schema.ModelT)

    def __post_init__(self) -> None:
        self.model.version = 3
        self.model.operatorCodes = [_code(code) for code in (DEQUANTIZE, CONV_2D, DEPTHWISE_CONV_2D)]
        self.model.buffers = [schema.BufferT()]
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
        self.model.subgraphs = [graph]
        self._image = self._tensor("normalized_input_image_tensor")

    def add(self, name: str, kernel: NDArray[np.float32], bias: NDArray[np.float32], *, depthwise: bool) -> None:
        """Add a convolution.

        Args:
            name: Of its output.
            kernel: `(height, width, inputs, outputs)`, or `(height, width, channels, 1)` of a depthwise one.
            bias: `(outputs,)`.
        """
        inputs = [self._image, *(self._constant(name, value) for value in (kernel.transpose(3, 0, 1, 2), bias))]
        self._operator(2 if depthwise else 1, inputs, self._tensor(name))

    def bytes(self) -> bytes:
        """The file."""
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _constant(self, name: str, value: NDArray[np.float32]) -> int:
        buffer = schema.BufferT()
        if not self.computed:
            buffer.data = np.frombuffer(value.astype(self.type).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        stored = self._tensor(f"{name}/constant", TYPES[self.type], value.shape, len(self.model.buffers) - 1)
        if self.type == "float32":
            return stored
        read = self._tensor(f"{name}/constant_dequantize", shape=value.shape)
        self._operator(0, [stored], read)
        return read

    def _tensor(self, name: str, type_: int = TYPES["float32"], shape: tuple[int, ...] = (), buffer: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.buffer = name.encode(), type_, list(shape), buffer
        tensors = self.model.subgraphs[0].tensors
        tensors.append(tensor)
        return len(tensors) - 1

    def _operator(self, code: int, inputs: list[int], output: int) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, [output]
        self.model.subgraphs[0].operators.append(operator)


def random_litert(file: Path, architecture: str, num_classes: int) -> Tensors:
    """Write a LiteRT file of a bundled SSD MobileNet V2; its values, drawn by `folded_values`."""
    variables = build_detector(load_bundled(architecture, num_classes).config.model).variables()
    values = folded_values({key: tuple(each.shape) for key, each in variables.items()})
    file.write_bytes(write_litert(values))
    return values


def write_litert(values: Tensors, file: LiteRtFile | None = None, without: str = "nothing") -> bytes:
    """A LiteRT file with the values of a detector's variables, under the names that the converter gives.

    Args:
        values: By checkpoint key.
        file: What to write into.
        without: The scope of a convolution that is left out.
    """
    file = file or LiteRtFile()
    names = slim_names({key.removesuffix(SUFFIX): value.shape for key, value in values.items()})
    tensors = {names[key.removesuffix(SUFFIX)]: value for key, value in values.items()}
    for name, kernel in tensors.items():
        scope, _, leaf = name.rpartition("/")
        if not leaf.endswith("weights") or scope == without:
            continue
        norm = f"{scope}/BatchNorm"
        if f"{norm}/beta" in tensors:
            # What is folded into one operator is named after all of it.
            last = f"{norm}/FusedBatchNormV3" if scope.endswith("project") else f"{scope}/Relu6"
            output, bias = f"{last};{norm}/FusedBatchNormV3;{scope}/Conv2D1", tensors[f"{norm}/beta"]
        else:
            output, bias = f"{scope}/BiasAdd;{scope}/Conv2D;{scope}/biases1", tensors[f"{scope}/biases"]
        file.add(output, kernel, bias, depthwise=leaf == "depthwise_weights")
    return file.bytes()


def _code(builtin: int) -> Any:
    code = schema.OperatorCodeT()
    # What fits into a byte stands in the old field too.
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    return code
