# SPDX-License-Identifier: Apache-2.0
"""In which ranges an SSD's numbers matter; what is beyond becomes its nearest end.

Eight bits over all that a tensor holds can be too few: a few places of a map are twenty times as large as the others,
anchors without an object have encodings of -80 where those that are shown lie within 10, and there are logits that all
mean 0.
"""

import os
import warnings
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from training_src.export.litert_converter import ENCODINGS, IMAGE, SCORES

# Through these a number passes as it is.
PASSING = (schema.BuiltinOperator.RESHAPE, schema.BuiltinOperator.CONCATENATION)
# An anchor's best class must have this much for its box to matter.
LEAST_SCORE = 0.05
# Beyond what the calibration images need, as others may need a bit more.
MARGIN = 1.1
# This share of the encodings of such anchors may be beyond either end.
OUTLIERS = 0.005
# Its sigmoid is a four-hundredth; a step of int8 scores is a 256th.
LEAST_LOGIT = -6.0
# Of a tensor, over all images, and at least of one: what its numbers are taken to be.
VALUES, LEAST_VALUES = 2**17, 1000
BINS, STEPS = 2048, 255
# Which parts of a range are tried.
PARTS = np.linspace(0.3, 1.0, 15)

Sample = dict[str, NDArray[np.float32]]
Samples = Sequence[Sample]
Ranges = dict[str, dict[str, NDArray[np.float32]]]


def cut(ranges: Ranges, content: bytes, samples: Samples) -> None:
    """Cut each tensor's range, in place, half-way to where what it holds has the least mean squared error.

    Not all the way: that error counts what decides, the few places where something is, as much as any other, and
    scores fall (docs/measurements.md).

    Args:
        ranges: By tensor's name: the least and the greatest.
        content: The float32 file.
        samples: The calibration images, as the file takes them.
    """
    for name, values in _values(content, samples, ranges.keys()).items():
        found = ranges[name]
        if found["min"].size == 1:
            least, greatest = _of_least_error(values, float(found["min"].min()), float(found["max"].max()))
            for end, best in (("min", least), ("max", greatest)):
                found[end] = ((found[end] + best) / 2).astype(np.float32)


def _values(content: bytes, samples: Samples, names: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """Some numbers of each tensor that is computed, out of every image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that all tensors kept take memory
        interpreter = Interpreter(
            model_content=content, num_threads=os.cpu_count(), experimental_preserve_all_tensors=True
        )
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    computed = {int(tensor) for each in interpreter._get_ops_details() for tensor in each["outputs"]}
    wanted = {each["name"]: each["index"] for each in interpreter.get_tensor_details() if each["name"] in names}
    wanted = {name: index for name, index in wanted.items() if index in computed}
    count, rng = max(LEAST_VALUES, VALUES // len(samples)), np.random.default_rng(0)
    kept: dict[str, list[NDArray[np.float32]]] = {name: [] for name in wanted}
    for sample in samples:
        interpreter.set_tensor(image["index"], sample[IMAGE])
        interpreter.invoke()
        for name, index in wanted.items():
            flat = interpreter.get_tensor(index).ravel()
            kept[name].append(flat if flat.size <= count else flat[rng.integers(0, flat.size, count)])
    return {name: np.concatenate(each) for name, each in kept.items()}


def _of_least_error(values: NDArray[np.float32], least: float, greatest: float) -> tuple[float, float]:
    """The ends of the range in which 256 steps come closest to the values; 0 lies within it."""
    counts, edges = np.histogram(values, BINS)
    centres, counts = ((edges[:-1] + edges[1:]) / 2)[counts > 0], counts[counts > 0]
    tried = []
    for low in {min(least, 0.0) * part for part in PARTS}:
        for high in {max(greatest, 0.0) * part for part in PARTS}:
            step = max(high - low, np.finfo(np.float32).tiny) / STEPS
            rounded = np.clip(np.round((centres - low) / step), 0, STEPS) * step + low
            tried.append((float(counts @ (rounded - centres) ** 2), low, high))
    _, low, high = min(tried)
    return low, high


def narrow(ranges: Ranges, content: bytes, samples: Samples, num_classes: int) -> None:
    """Narrow the calibrated ranges of encodings and logits, in place.

    Args:
        ranges: By tensor's name, as the quantizer has them.
        content: The float32 file.
        samples: The calibration images, as the file takes them.
        num_classes: Without the background.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    outputs = {each.name.decode(): each.tensorIndex for each in model.signatureDefs[0].outputs}
    least, greatest = _of_shown_boxes(content, samples, num_classes)
    for name in _same_numbers(model, outputs[ENCODINGS]):
        _cut(ranges[name], least, greatest)
    logits = _logits(model, outputs[SCORES])
    if logits is not None:
        for name in _same_numbers(model, logits):
            _cut(ranges[name], LEAST_LOGIT, np.inf)


def _of_shown_boxes(content: bytes, samples: Samples, num_classes: int) -> tuple[float, float]:
    """Least and greatest encoding of anchors that see something, but for outliers; infinite where none does."""
    interpreter = Interpreter(model_content=content)
    run = interpreter.get_signature_runner()
    encodings = [np.zeros(0, np.float32)]
    for sample in samples:
        found: dict[str, NDArray[np.float32]] = run(**{IMAGE: sample[IMAGE]})
        shown = found[ENCODINGS][found[SCORES][..., -num_classes:].max(axis=-1) >= LEAST_SCORE]
        encodings.append(shown.ravel())
    every = np.concatenate(encodings)
    if not every.size:
        return -np.inf, np.inf
    least, greatest = np.quantile(every, [OUTLIERS, 1 - OUTLIERS]).tolist()
    return (least * MARGIN, greatest * MARGIN) if least < 0 < greatest else (-np.inf, np.inf)


def _cut(found: dict[str, NDArray[np.float32]], least: float, greatest: float) -> None:
    found["min"] = np.maximum(found["min"], np.float32(least))
    found["max"] = np.maximum(np.minimum(found["max"], np.float32(greatest)), found["min"] + np.float32(1e-3))


def _maker(model: schema.ModelT, tensor: int) -> tuple[int, Any]:
    """What makes a tensor: its kind and itself."""
    (operation,) = [each for each in model.subgraphs[0].operators if tensor in each.outputs]
    return int(model.operatorCodes[operation.opcodeIndex].builtinCode), operation


def _same_numbers(model: schema.ModelT, tensor: int) -> list[str]:
    """The names of a tensor and of those whose numbers come into it as they are."""
    kind, operation = _maker(model, tensor)
    before: list[str] = []
    if kind in PASSING:
        sources = operation.inputs if kind == schema.BuiltinOperator.CONCATENATION else operation.inputs[:1]
        before = [name for source in sources for name in _same_numbers(model, source)]
    return [model.subgraphs[0].tensors[tensor].name.decode(), *before]


def _logits(model: schema.ModelT, scores: int) -> int | None:
    """Of what scores are the sigmoid; None where they are none."""
    kind, operation = _maker(model, scores)
    if kind in (schema.BuiltinOperator.GATHER, schema.BuiltinOperator.STRIDED_SLICE):
        return _logits(model, operation.inputs[0])
    return int(operation.inputs[0]) if kind == schema.BuiltinOperator.LOGISTIC else None
