# SPDX-License-Identifier: Apache-2.0
"""What the runtime makes of the operation at the end of a LiteRT file."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from training_src.errors import DataError
from training_src.export import litert_postprocess
from training_src.export.litert_converter import ENCODINGS, SCORES
from training_src.export.litert_postprocess import PostProcess
from training_src.export.litert_run import LitertDetector

ANCHORS, CLASSES = 40, 5


def operation(per_class: int = 3) -> bytes:
    """A file of the operation alone: boxes that do not overlap, and of its inputs a signature."""
    model = schema.ModelT()
    model.version, model.operatorCodes, model.buffers = 3, [], [litert_postprocess._AlignedBuffer(b"")]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [0, 1], [0, 1]
    model.subgraphs = [graph]
    litert_postprocess._tensor(model, ENCODINGS, (1, ANCHORS, 4))
    litert_postprocess._tensor(model, SCORES, (1, ANCHORS, CLASSES))
    signature = schema.SignatureDefT()
    signature.outputs = []
    for index, name in enumerate((ENCODINGS, SCORES)):
        place = schema.TensorMapT()
        place.name, place.tensorIndex = name.encode(), index
        signature.outputs.append(place)
    model.signatureDefs = [signature]
    places = np.linspace(0.1, 0.9, ANCHORS, dtype=np.float32)
    anchors = np.stack([places, places, np.full(ANCHORS, 0.01), np.full(ANCHORS, 0.01)], axis=1).astype(np.float32)
    options = PostProcess(per_class * CLASSES, per_class, True, 1e-8, 0.6, CLASSES, 10.0, 10.0, 5.0, 5.0)
    return litert_postprocess.with_postprocess(litert_postprocess._packed(model), options, anchors, b"none")


@pytest.mark.parametrize(
    ("threads", "lost"), [(None, set()), (1, set()), (2, {2}), (3, {3}), (4, {4}), (5, set()), (8, set())]
)
def test_with_several_threads_the_runtime_loses_the_class_of_their_number(threads: int | None, lost: set[int]) -> None:
    # The runtime's own fault, of which the files' description and docs/edge.md speak. When this fails it is mended, and
    # neither needs to.
    interpreter = Interpreter(model_content=operation(), num_threads=threads)
    interpreter.allocate_tensors()
    scores = np.random.default_rng(0).uniform(0.1, 1.0, (1, ANCHORS, CLASSES)).astype(np.float32)
    for index, given in enumerate((np.zeros((1, ANCHORS, 4), np.float32), scores)):
        interpreter.set_tensor(interpreter.get_input_details()[index]["index"], given)
    interpreter.invoke()
    _, classes, _, count = (interpreter.get_tensor(each["index"])[0] for each in interpreter.get_output_details())
    assert set(classes[: int(count)].astype(int).tolist()) == set(range(CLASSES)) - lost


def test_what_is_no_detection_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Swapped(Interpreter):  # type: ignore[misc]
        """With one input, and scores where classes are to be."""

        def get_input_details(self) -> list[dict[str, object]]:
            return list(super().get_input_details()[1:])

        def get_output_details(self) -> list[dict[str, object]]:
            boxes, classes, scores, count = super().get_output_details()
            return [boxes, scores, classes, count]

        def set_tensor(self, index: int, _: object) -> None:
            super().set_tensor(index, np.full((1, ANCHORS, CLASSES), 0.5, np.float32))

    monkeypatch.setattr("training_src.export.litert_run.Interpreter", Swapped)
    with pytest.raises(DataError, match="outputs are not boxes, classes, scores"):
        LitertDetector(operation(), [1, 2, 4, 7, 9]).detect(np.zeros((8, 8, 3), np.uint8))
