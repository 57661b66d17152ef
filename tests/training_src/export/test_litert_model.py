# SPDX-License-Identifier: Apache-2.0
"""A detector's LiteRT files, run by ai-edge-litert alone, as Coral's and Android's clients read them."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from tests.training_src.export.conftest import COUNT, LABELS, picture, random_detector
from training_src.data.label_map import LabelMap
from training_src.errors import ConfigurationError, DataError
from training_src.evaluation.boxes import intersection_over_union
from training_src.export.litert_model import LitertFiles, litert_files
from training_src.models.ssd import SsdDetector

CHECKOUT = Path(__file__).resolve().parents[3]
FIXED = "fixed_shape_resizer { height: 160 width: 160 }"
PADDED = "keep_aspect_ratio_resizer { min_dimension: 160 max_dimension: 160 pad_to_max_dimension: true }"
SIZE = 160
# What each file may hold beside integers: how it begins and ends.
BORDERS = {"QUANTIZE", "DEQUANTIZE", "CUSTOM"}


@pytest.fixture(scope="module")
def detector() -> SsdDetector:
    return random_detector(FIXED)


@pytest.fixture(scope="module")
def files(detector: SsdDetector) -> LitertFiles:
    return litert_files(detector, LABELS, "small", [picture(index) for index in range(COUNT)])


def sized(seed: int) -> NDArray[np.uint8]:
    """A picture in the files' size."""
    rows, columns = np.arange(SIZE) * 150 // SIZE, np.arange(SIZE) * 200 // SIZE
    return picture(seed)[rows][:, columns]


def run(content: bytes, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Boxes, classes, scores and count, in the order in which pycoral's `detect.get_objects` takes outputs."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    pixels = image[None]
    given = pixels if taken["dtype"] is np.uint8 else (pixels.astype(np.float32) - 127.5) / 127.5
    interpreter.set_tensor(taken["index"], given)
    interpreter.invoke()
    return [interpreter.get_tensor(each["index"])[0] for each in interpreter.get_output_details()]


def raw(content: bytes, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the operation at the end is given: encodings and scores."""
    _, operations = graph(content)
    interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    pixels = image[None]
    given = pixels if taken["dtype"] is np.uint8 else (pixels.astype(np.float32) - 127.5) / 127.5
    interpreter.set_tensor(taken["index"], given)
    interpreter.invoke()
    encodings, scores, _ = operations.operators[-1].inputs
    return interpreter.get_tensor(encodings), interpreter.get_tensor(scores)


def ours(detector: SsdDetector, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    inputs = detector.preprocess(tf.constant(image[None]))
    found = detector.postprocess(detector.predict(inputs, training=False), inputs.true_shapes, sorted(LABELS.names))
    return found.boxes[0].numpy(), found.classes[0].numpy(), found.scores[0].numpy()


def graph(content: bytes) -> tuple[schema.ModelT, schema.SubGraphT]:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    return model, model.subgraphs[0]


def kind(model: schema.ModelT, operation: schema.OperatorT) -> str:
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    return str(names[model.operatorCodes[operation.opcodeIndex].builtinCode])


def test_it_finds_what_the_detector_finds(detector: SsdDetector, files: LitertFiles) -> None:
    for seed in range(3):
        image = sized(seed)
        boxes, classes, scores, count = run(files.float16, image)
        expected, expected_classes, expected_scores = ours(detector, image)
        assert count == 100
        assert (np.diff(scores) <= 0).all()
        overlap = intersection_over_union(expected[:20].astype(float), np.clip(boxes, 0, 1).astype(float))
        overlap *= expected_classes[:20, None] == classes
        assert np.mean(overlap.max(axis=1)) > 0.98
        assert np.abs(expected_scores[:20] - scores[overlap.argmax(axis=1)]).mean() < 0.005


def test_in_int8_the_network_says_the_same_of_each_anchor(files: LitertFiles) -> None:
    # Random weights give scores that lie closer than one step of eight bits, so suppression keeps others.
    assert files.int8 is not None
    for seed in range(3):
        (encodings, scores), (rounded, rounded_scores) = (
            raw(content, sized(seed)) for content in (files.float16, files.int8)
        )
        assert encodings.std() > 20 * np.abs(encodings - rounded).mean()
        assert np.corrcoef(encodings.ravel(), rounded.ravel())[0, 1] > 0.998
        assert np.abs(scores - rounded_scores).max() < 2 / 256


def test_its_outputs_stand_in_the_order_of_the_operation(files: LitertFiles) -> None:
    for content in (files.float16, files.int8):
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        details = interpreter.get_output_details()
        assert [detail["shape"].tolist() for detail in details] == [[1, 100, 4], [1, 100], [1, 100], [1]]
        assert {detail["dtype"] for detail in details} == {np.float32}
        # Who reads by name looks for these, as in the API's own files.
        (signature,) = interpreter._get_full_signature_list().values()
        places = [signature["outputs"][f"output_{place}"] for place in range(4)]
        assert places == [detail["index"] for detail in reversed(details)]


def test_the_operation_has_the_configs_numbers(detector: SsdDetector, files: LitertFiles) -> None:
    model, operations = graph(files.float16)
    last = operations.operators[-1]
    assert model.operatorCodes[last.opcodeIndex].customCode == b"TFLite_Detection_PostProcess"
    options = flexbuffers.Loads(bytes(bytearray(last.customOptions)))
    suppression = detector.config.post_processing.batch_non_max_suppression
    assert options["nms_iou_threshold"] == pytest.approx(suppression.iou_threshold)
    assert options["nms_score_threshold"] == pytest.approx(suppression.score_threshold)
    assert (options["max_detections"], options["detections_per_class"]) == (100, 100)
    assert (options["use_regular_nms"], options["max_classes_per_detection"], options["num_classes"]) == (True, 1, 3)
    assert [options[f"{side}_scale"] for side in "yxhw"] == [10.0, 10.0, 5.0, 5.0]


def test_int8_takes_bytes_and_computes_in_integers(files: LitertFiles) -> None:
    assert files.int8 is not None
    model, operations = graph(files.int8)
    (taken,) = operations.inputs
    image = operations.tensors[taken]
    assert image.type == schema.TensorType.UINT8
    assert image.quantization.scale[0] == pytest.approx(1 / 127.5)
    assert image.quantization.zeroPoint[0] in (127, 128)
    inner = [each for each in operations.operators if kind(model, each) not in BORDERS]
    assert len(inner) > 80
    for operation in inner:
        for place in [*operation.inputs, *operation.outputs]:
            assert operations.tensors[place].type in (schema.TensorType.INT8, schema.TensorType.INT32)
    # Two outputs of the network become float32 for the operation at the end, and nothing else does.
    assert [kind(model, each) for each in operations.operators].count("DEQUANTIZE") == 2
    assert len(files.int8) < 0.7 * len(files.float16)


def test_weights_lie_within_the_file_where_the_schema_wants_them(files: LitertFiles) -> None:
    assert files.int8 is not None
    model = schema.Model.GetRootAs(files.int8, 0)
    filled = [model.Buffers(place) for place in range(model.BuffersLength()) if model.Buffers(place).DataLength()]
    assert len(filled) > 100
    for buffer in filled:
        assert buffer.Offset() == 0
        start = buffer._tab.Vector(buffer._tab.Offset(4))
        assert start % 16 == 0


def test_labels_and_normalisation_are_in_the_file(files: LitertFiles) -> None:
    for content in (files.float16, files.int8):
        assert content is not None
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.read("labels.txt") == b"vehicle\npedestrian\ncyclist\n"
        model, _ = graph(content)
        (entry,) = [each for each in model.metadata if each.name == b"TFLITE_METADATA"]
        held = bytes(model.buffers[entry.buffer].data)
        assert held[4:8] == b"M001"
        for name in (b"image", b"location", b"category", b"score", b"number of detections", b"labels.txt"):
            assert name in held
        assert held.count(np.float32(127.5).tobytes()) == 2


def test_other_numbers_of_detections_can_be_asked_for(detector: SsdDetector) -> None:
    few = litert_files(detector, LABELS, "small", max_detections=10)
    assert few.int8 is None
    boxes, _, scores, count = run(few.float16, sized(1))
    assert (*boxes.shape, *scores.shape, int(count)) == (10, 4, 10, 10)


def test_a_background_column_moves_no_class(detector: SsdDetector) -> None:
    every = LabelMap({1: "a", 2: "b", 3: "c", 4: "d"})
    image = sized(2)
    _, all_classes, all_scores, _ = run(litert_files(detector, every, "small").float16, image)
    inputs = detector.preprocess(tf.constant(image[None]))
    found = detector.postprocess(detector.predict(inputs, training=False), inputs.true_shapes)
    np.testing.assert_allclose(found.scores[0].numpy()[:20], all_scores[:20], atol=0.005)
    assert np.mean(found.classes[0].numpy()[:20] == all_classes[:20]) > 0.8


def test_no_image_is_an_error(detector: SsdDetector) -> None:
    with pytest.raises(DataError, match="no image to calibrate"):
        litert_files(detector, LABELS, "small", [])


@pytest.mark.parametrize(
    ("resizer", "suppression", "said"),
    [
        (
            "keep_aspect_ratio_resizer { min_dimension: 160 max_dimension: 160 pad_to_max_dimension: true }",
            "",
            "one size",
        ),
        (FIXED, "soft_nms_sigma: 0.5", "no soft suppression"),
    ],
)
def test_what_cannot_be_is_one_sentence(resizer: str, suppression: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        litert_files(random_detector(resizer, suppression), LABELS, "small")


def test_one_module_calls_tensorflows_converter() -> None:
    packages = ("containers", "infra", "inference_src", "localcloud", "pipelines", "training_src")
    calling = [
        file.relative_to(CHECKOUT).as_posix()
        for package in packages
        for file in (CHECKOUT / package).rglob("*.py")
        if "TFLiteConverter" in file.read_text() or "tf.lite" in file.read_text()
    ]
    assert calling == ["training_src/export/litert_converter.py"]


def test_a_client_needs_no_tensorflow(files: LitertFiles, tmp_path: Path) -> None:
    assert files.int8 is not None
    (tmp_path / "model.tflite").write_bytes(files.int8)
    program = (
        "import sys; from ai_edge_litert.interpreter import Interpreter\n"
        f"i = Interpreter({str(tmp_path / 'model.tflite')!r}); i.allocate_tensors(); i.invoke()\n"
        "assert 'tensorflow' not in sys.modules; print(len(i.get_output_details()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split()[-1] == "4"
