# SPDX-License-Identifier: Apache-2.0
"""What a config builds: layers, parameters, operations, anchors."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from training_src.models.anchors import anchors_per_cell
from training_src.models.config.faster_rcnn import FasterRcnn
from training_src.models.config.pipeline import PipelineDescription
from training_src.models.config.ssd import Ssd
from training_src.models.detector import Detector
from training_src.models.feature_extractors.efficientnet import Idle


@dataclass(frozen=True)
class Network:
    """One of a detector's networks.

    Attributes:
        name: Keras's.
        input_shape: Without the batch; None where it depends on the image.
        layers: How many of each kind of layer with weights.
        parameters: Trainable ones, those of layers that compute nothing left out.
        other_parameters: Moving averages, and what the checkpoint holds for layers that compute nothing.
        flops: Floating-point operations for one image, of convolutions and matrix products, a multiplication and an
            addition counted as two; None where the input's size depends on the image.
    """

    name: str
    input_shape: tuple[int | None, ...]
    layers: dict[str, int]
    parameters: int
    other_parameters: int
    flops: int | None


@dataclass(frozen=True)
class Level:
    """Anchors of one feature map; sizes are None where they depend on the image."""

    height: int | None
    width: int | None
    channels: int
    anchors_per_cell: int
    anchors: int | None


@dataclass(frozen=True)
class Info:
    """A detector in numbers."""

    source: str
    num_classes: int
    input_size: tuple[int, int] | None
    networks: list[Network]
    levels: list[Level]
    parameters: int
    flops: int | None


def describe(detector: Detector, description: PipelineDescription) -> Info:
    """Count what a detector is made of."""
    family = description.config.model.family
    proposals = family.first_stage_max_proposals if isinstance(family, FasterRcnn) else 1
    networks = [
        _network(network, examples) for network, examples in zip(detector.networks, (1, proposals), strict=False)
    ]
    operations = [network.flops for network in networks]
    return Info(
        source=description.source,
        num_classes=detector.num_classes,
        input_size=detector.input_size,
        networks=networks,
        levels=list(_levels(detector, family)),
        parameters=sum(network.parameters for network in networks),
        flops=None if None in operations else sum(count or 0 for count in operations),
    )


def parameters(detector: Detector) -> int:
    """Trainable parameters that compute something."""
    return sum(_computing(network) for network in detector.networks)


def _network(network: keras.Model, examples: int) -> Network:
    computing = _computing(network)
    counted = Counter(type(layer).__name__ for layer in network.layers if layer.weights and not isinstance(layer, Idle))
    shape = tuple(network.inputs[0].shape[1:])
    return Network(
        name=str(network.name),
        input_shape=shape,
        layers=dict(counted),
        parameters=computing,
        other_parameters=int(network.count_params()) - computing,
        flops=None if None in shape else _flops(network, (examples, *shape)),
    )


def _computing(network: keras.Model) -> int:
    idle = sum(_size(layer.trainable_variables) for layer in network.layers if isinstance(layer, Idle))
    return _size(network.trainable_variables) - idle


def _size(variables: Sequence[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def _flops(network: keras.Model, shape: Sequence[int | None]) -> int:
    """Operations of a batch, counted in the traced graph, where shared layers stand as often as they are used."""
    function = tf.function(lambda images: network(images, training=False), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec(shape, tf.float32)).graph
    return sum(operation_flops(operation) for operation in graph.get_operations())


def operation_flops(operation: tf.Operation) -> int:
    if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
        kernel = operation.inputs[1].shape
        # Each number of the result takes a product for each weight of one filter.
        products = math.prod(kernel[:3] if operation.type == "Conv2D" else kernel[:2])
    elif operation.type == "MatMul":
        transposed = operation.get_attr("transpose_a")
        products = operation.inputs[0].shape[0 if transposed else 1]
    else:
        return 0
    return int(2 * products * math.prod(operation.outputs[0].shape))


def _levels(detector: Detector, family: Ssd | FasterRcnn) -> Iterator[Level]:
    maps = _maps(detector)
    config = family.first_stage_anchor_generator if isinstance(family, FasterRcnn) else family.anchor_generator
    for (_, height, width, channels), anchors in zip(maps, anchors_per_cell(config, len(maps)), strict=True):
        assert channels is not None
        cells = None if height is None or width is None else height * width
        yield Level(height, width, channels, anchors, None if cells is None else cells * anchors)


def _maps(detector: Detector) -> list[tuple[int | None, ...]]:
    """The shapes of the maps on whose cells anchors stand."""
    output = detector.networks[0].output
    if not isinstance(output, dict):
        *maps, _, _ = output
        return [tuple(features.shape) for features in maps]
    names = sorted((name for name in output if name.startswith("feature_map_")), key=lambda name: int(name[12:]))
    return [tuple(output[name].shape) for name in names]
