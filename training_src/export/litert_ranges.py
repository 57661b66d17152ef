# SPDX-License-Identifier: Apache-2.0
"""In which ranges the numbers at the end of an SSD's network matter.

Eight bits over all that heads say are too few: anchors without an object have encodings of -80 where those that are
shown lie within 10, and logits that all mean 0. What is beyond the range becomes its nearest end.
"""

from collections.abc import Iterable
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
# Its sigmoid is a four-hundredth; a step of int8 scores is a 256th.
LEAST_LOGIT = -6.0

Samples = Iterable[dict[str, NDArray[np.float32]]]
Ranges = dict[str, dict[str, NDArray[np.float32]]]


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
    """Least and greatest encoding of anchors that see something; infinite where none does."""
    interpreter = Interpreter(model_content=content)
    run = interpreter.get_signature_runner()
    least, greatest = np.inf, -np.inf
    for sample in samples:
        found: dict[str, NDArray[np.float32]] = run(**{IMAGE: sample[IMAGE]})
        shown = found[ENCODINGS][found[SCORES][..., -num_classes:].max(axis=-1) >= LEAST_SCORE]
        if len(shown):
            least, greatest = min(least, float(shown.min())), max(greatest, float(shown.max()))
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
