# SPDX-License-Identifier: Apache-2.0
"""`info`: what a config builds: layers, parameters, operations, anchors."""

import argparse
import contextlib
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# TensorFlow speaks in C++, before any setting of Python's can reach it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from training_src.errors import MapgateError
from training_src.models.anchors import anchors_per_cell
from training_src.models.architectures import build_detector
from training_src.models.config.faster_rcnn import FasterRcnn
from training_src.models.config.legacy import mapping_table
from training_src.models.config.pipeline import PipelineDescription, load, load_bundled
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


def run(arguments: Sequence[str]) -> int:
    """Print what the arguments describe; returns the exit code."""
    parser = argparse.ArgumentParser(prog="info", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--pipeline-config", type=Path)
    which.add_argument("--architecture", help="a zoo name")
    parser.add_argument("--num-classes", type=int, default=90, help="for --architecture")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    try:
        if options.pipeline_config:
            description = load(options.pipeline_config, num_classes=1)
        else:
            description = load_bundled(options.architecture, options.num_classes)
        # What a detector says while it is built is not what was asked for.
        with contextlib.redirect_stdout(sys.stderr):
            info = describe(build_detector(description.config.model), description)
    except MapgateError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(asdict(info), indent=2) if options.as_json else text(info, description))
    return 0


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


def text(info: Info, description: PipelineDescription) -> str:
    """The same for reading."""
    size = "x".join(map(str, info.input_size)) if info.input_size else "as the image's"
    lines = [f"{info.source}: input {size}, {info.num_classes} classes, {info.parameters / 1e6:.2f} M parameters"]
    if description.mapped:
        lines += ["", mapping_table(description.mapped)]
    for network in info.networks:
        shape = "x".join("?" if side is None else str(side) for side in network.input_shape)
        flops = "depends on the image" if network.flops is None else f"{network.flops / 1e9:.2f} G"
        lines += [
            "",
            f"{network.name} (input {shape})",
            f"  layers      {', '.join(f'{count} {kind}' for kind, count in network.layers.items())}",
            f"  parameters  {network.parameters:,} trained, {network.other_parameters:,} others",
            f"  operations  {flops} FLOPs an image (convolutions and matrix products, counted in the traced graph)",
        ]
    lines += ["", "level     map  channels  anchors a cell  anchors"]
    for number, level in enumerate(info.levels):
        side = f"{level.height or '?'}x{level.width or '?'}"
        lines.append(
            f"{number:5d} {side:>7} {level.channels:9d} {level.anchors_per_cell:15d} {level.anchors or '?':>8}"
        )
    return "\n".join(lines)


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
    return sum(_operation_flops(operation) for operation in graph.get_operations())


def _operation_flops(operation: tf.Operation) -> int:
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
        return [tuple(output[0].shape)]
    names = sorted((name for name in output if name.startswith("feature_map_")), key=lambda name: int(name[12:]))
    return [tuple(output[name].shape) for name in names]
