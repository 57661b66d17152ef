# SPDX-License-Identifier: Apache-2.0
"""The files as clients read them: Coral's pycoral, and Android's task library with its metadata.

pycoral: https://github.com/google-coral/pycoral/blob/master/pycoral/adapters/detect.py
The task library: https://github.com/tensorflow/tflite-support, `cc/task/vision/object_detector.cc`, and
`metadata/metadata_schema.fbs`, whose tables are read here by the places of their fields.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import encode, number_types
from flatbuffers.table import Table
from numpy.typing import NDArray

from tests.training_src.export.conftest import COUNT, LABELS, picture, random_detector
from training_src.export.litert_model import LitertFiles, litert_files, resized
from training_src.export.litert_postprocess import PostProcess
from training_src.models.ssd import SsdDetector

FIXED = "fixed_shape_resizer { height: 160 width: 160 }"


@pytest.fixture(scope="module")
def detector() -> SsdDetector:
    return random_detector(FIXED)


@pytest.fixture(scope="module")
def files(detector: SsdDetector) -> LitertFiles:
    return litert_files(detector, LABELS, "small", [picture(index) for index in range(COUNT)])


@pytest.fixture(params=["float16", "int8"])
def content(files: LitertFiles, request: pytest.FixtureRequest) -> bytes:
    found = getattr(files, request.param)
    assert isinstance(found, bytes)
    return found


@pytest.fixture
def run(content: bytes, detector: SsdDetector) -> Callable[[NDArray[np.uint8]], Interpreter]:
    """The interpreter after a picture."""

    def invoked(image: NDArray[np.uint8]) -> Interpreter:
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        (taken,) = interpreter.get_input_details()
        pixels = resized(detector, image)[None]
        given = pixels if taken["dtype"] is np.uint8 else (pixels.astype(np.float32) - 127.5) / 127.5
        interpreter.set_tensor(taken["index"], given)
        interpreter.invoke()
        return interpreter

    return invoked


def test_coral_reads_objects_by_the_signature_and_by_the_order(
    run: Callable[[NDArray[np.uint8]], Interpreter],
) -> None:
    interpreter = run(picture(1))
    (signature,) = interpreter._get_full_signature_list().values()
    count, scores, classes, boxes = (
        interpreter.get_tensor(signature["outputs"][f"output_{place}"])[0] for place in range(4)
    )
    ordered = [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]
    assert ordered[3].size == 1
    for one, other in zip((boxes, classes, scores, count), ordered, strict=True):
        np.testing.assert_array_equal(one, other[0])
    assert (np.diff(scores) <= 0).all() and 0 < scores[0] <= 1
    assert set(classes.astype(int).tolist()) <= {0, 1, 2}
    assert (boxes[:, :2] <= boxes[:, 2:]).all()


@pytest.mark.parametrize("image", [picture(2), np.zeros((150, 200, 3), np.uint8)], ids=["picture", "nothing"])
def test_androids_task_library_takes_the_outputs(
    run: Callable[[NDArray[np.uint8]], Interpreter], image: NDArray[np.uint8]
) -> None:
    boxes, classes, scores, count = (
        interpreter.get_tensor(each["index"])
        for interpreter in [run(image)]
        for each in interpreter.get_output_details()
    )
    number = int(count[0])
    assert [boxes.shape, classes.shape, scores.shape] == [(1, number, 4), (1, number), (1, number)]


def test_a_threshold_of_the_config_is_kept_where_scores_are_rounded(detector: SsdDetector) -> None:
    options = PostProcess.of(detector.config, 3)
    assert (options.nms_score_threshold, options.in_steps_of(1 / 256).nms_score_threshold) == (1e-8, 0.0)
    assert replace(options, nms_score_threshold=0.1).in_steps_of(1 / 256).nms_score_threshold == 0.1


@dataclass(frozen=True)
class Fields:
    """A table of a flatbuffer, by the places of its fields."""

    table: Table

    @classmethod
    def root(cls, data: bytes) -> Fields:
        return cls(Table(data, encode.Get(number_types.UOffsetTFlags.packer_type, data, 0)))

    def _at(self, place: int) -> int:
        offset = self.table.Offset(4 + 2 * place)
        return self.table.Pos + offset if offset else 0

    def text(self, place: int) -> str:
        return bytes(self.table.String(self._at(place))).decode()

    def number(self, place: int) -> int:
        at = self._at(place)
        return int(self.table.Get(number_types.Int8Flags, at)) if at else 0

    def one(self, place: int) -> Fields:
        return Fields(Table(self.table.Bytes, self.table.Indirect(self._at(place))))

    def many(self, place: int) -> list[Fields]:
        offset = 4 + 2 * place
        field = self.table.Offset(offset)
        if not field:
            return []
        start, count = self.table.Vector(field), self.table.VectorLen(field)
        return [Fields(Table(self.table.Bytes, self.table.Indirect(start + 4 * index))) for index in range(count)]

    def values(self, place: int, kind: Any) -> list[float]:
        field = self.table.Offset(4 + 2 * place)
        start, count = self.table.Vector(field), self.table.VectorLen(field)
        return [self.table.Get(kind, start + 4 * index) for index in range(count)]


def metadata(content: bytes) -> Fields:
    """SubGraphMetadata, as ModelMetadataExtractor finds it."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (entry,) = [each for each in model.metadata if each.name == b"TFLITE_METADATA"]
    held = bytes(bytearray(model.buffers[entry.buffer].data))
    assert held[4:8] == b"M001"
    found = Fields.root(held)
    assert found.text(0) == "small" and found.text(7) == "1.0.0"
    (subgraph,) = found.many(3)
    return subgraph


def test_androids_task_library_reads_how_the_image_is_normalised(content: bytes, files: LitertFiles) -> None:
    (image,) = metadata(content).many(2)
    assert image.one(3).number(0) == 2  # ImageProperties
    assert image.one(3).one(1).number(0) == 1  # RGB
    (unit,) = image.many(4)
    assert unit.number(0) == 1  # NormalizationOptions
    assert [unit.one(1).values(place, number_types.Float32Flags) for place in (0, 1)] == [[127.5], [127.5]]
    least, greatest = (0.0, 255.0) if content == files.int8 else (-1.0, 1.0)
    assert [image.one(5).values(place, number_types.Float32Flags) for place in (0, 1)] == [[greatest], [least]]


def test_androids_task_library_reads_boxes_and_labels(content: bytes) -> None:
    location, category, score, number = metadata(content).many(3)
    assert [each.text(0) for each in (location, category, score, number)] == [
        "location",
        "category",
        "score",
        "number of detections",
    ]
    assert location.one(3).number(0) == 3  # BoundingBoxProperties
    properties = location.one(3).one(1)
    assert (properties.number(1), properties.number(2)) == (1, 0)  # boundaries, as ratios
    # Where left, top, right and bottom stand among ymin, xmin, ymax, xmax.
    assert properties.values(0, number_types.Uint32Flags) == [1, 0, 3, 2]
    (labels,) = category.many(6)
    assert labels.number(2) == 3  # TENSOR_VALUE_LABELS
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        held = archive.read(labels.text(0)).decode()
    assert held.splitlines() == ["vehicle", "pedestrian", "cyclist"]
