# SPDX-License-Identifier: Apache-2.0
"""With real weights, on real photographs, int8 finds what float32 finds, and a file that does not is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from containers.contract.tfrecord import write_record
from tests.training_src.export.conftest import Street, labelled, restored
from training_src.data.dataset import LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.records.example import encode, example_of
from training_src.export import litert_converter, litert_parity, litert_postprocess
from training_src.export.calibration import calibration_images
from training_src.export.litert_model import LitertFiles, litert_files
from training_src.export.litert_parity import LitertParity
from training_src.export.litert_postprocess import PostProcess
from training_src.export.litert_run import Found
from training_src.training.records import Records

if TYPE_CHECKING:
    from tests.conftest import OpenImages, Record

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
VIDEO, RACCOONS = SHARED / "urban_frames", SHARED / "raccoon"
Check = Callable[[bytes | None], LitertParity]
Change = Callable[[schema.ModelT, schema.SubGraphT], None]


@pytest.fixture(scope="module")
def reference(street: Street) -> list[Found]:
    return litert_parity.float32_detections(street.detector, sorted(street.labels.names), street.photographs)


@pytest.fixture(scope="module")
def files(street: Street) -> LitertFiles:
    # On the three photographs that are compared, too: there are no others. The one below has more.
    return litert_files(street.detector, street.labels, "open-images", calibration_images(street.photographs))


@pytest.fixture(scope="module")
def check(street: Street, reference: list[Found]) -> Check:
    def compared(content: bytes | None) -> LitertParity:
        assert content is not None
        return litert_parity.compare(content, street.detector, street.labels.names, street.photographs, reference)

    return compared


def test_float16_is_float32(check: Check, files: LitertFiles) -> None:
    parity = check(files.float16)
    assert parity.failures == ()
    assert parity.shown > 20
    assert parity.map == pytest.approx(parity.map_float32, abs=0.01)
    assert parity.found == 1.0


def test_int8_finds_the_same(check: Check, files: LitertFiles) -> None:
    parity = check(files.int8)
    assert parity.failures == ()
    assert parity.map is not None and parity.map_float32 is not None
    assert parity.map_float32 > 0.3
    assert (parity.empty, parity.shift < 0.03) == (0.0, True)


def _with_anchors(content: bytes, anchors: NDArray[np.float32], wrong: NDArray[np.float32]) -> bytes:
    assert content.count(anchors.tobytes()) == 1
    return content.replace(anchors.tobytes(), wrong.astype(np.float32).tobytes())


def _changed(content: bytes, change: Change) -> bytes:
    """The file with something else in its tables."""
    model = litert_postprocess._unpacked(content)
    change(model, model.subgraphs[0])
    return litert_postprocess._packed(model)


def _halved(name: str) -> Change:
    """One of the scales by which the operation divides encodings."""

    def change(_: schema.ModelT, graph: schema.SubGraphT) -> None:
        last = graph.operators[-1]
        options = flexbuffers.Loads(bytes(bytearray(last.customOptions)))
        wrong = PostProcess(**{**options, name: options[name] / 2})
        last.customOptions = list(litert_postprocess._flexible(wrong))

    return change


def _wrong_steps(_: schema.ModelT, graph: schema.SubGraphT) -> None:
    """A picture's bytes stand for twice as much."""
    steps = graph.tensors[graph.inputs[0]].quantization
    steps.scale = [2 * float(steps.scale[0])]


def _lower(model: schema.ModelT, graph: schema.SubGraphT) -> None:
    """What becomes scores has lost two fifths of a logit."""
    (maker,) = [each for each in graph.operators if graph.operators[-1].inputs[1] in each.outputs]
    columns = int(graph.tensors[maker.inputs[0]].shape[-1])  # with the background
    for each in graph.operators:
        if model.operatorCodes[each.opcodeIndex].builtinCode != schema.BuiltinOperator.CONV_2D:
            continue
        bias = graph.tensors[each.inputs[2]]
        if bias.shape[0] in (3 * columns, 6 * columns):
            buffer = model.buffers[bias.buffer]
            lost = np.rint(0.4 / np.asarray(bias.quantization.scale)).astype(np.int64)
            buffer.content = (np.frombuffer(buffer.content, "<i4") - lost).astype("<i4").tobytes()


def _swapped(one: int, other: int) -> Change:
    def change(_: schema.ModelT, graph: schema.SubGraphT) -> None:
        outputs = list(graph.outputs)
        outputs[one], outputs[other] = outputs[other], outputs[one]
        graph.outputs = outputs

    return change


def _wrong_anchors(anchors: NDArray[np.float32]) -> dict[str, tuple[NDArray[np.float32], str]]:
    half_a_cell = anchors + np.array([0.5 / 19, 0.5 / 19, 0, 0], np.float32)
    sideways = anchors + 0.15 * anchors[:, [3, 3, 3, 3]] * np.array([0, 1, 0, 0], np.float32)
    return {
        "half a cell of the first map away": (half_a_cell, "boxes are moved"),
        "further right": (sideways, "boxes are moved"),
        "without height": (anchors * np.array([1, 1, 0, 1], np.float32), "no area in the picture"),
        "of other places": (anchors[::-1], "are found again"),
        "x for y": (anchors[:, [1, 0, 3, 2]], "are found again"),
    }


@pytest.mark.parametrize(
    "fault",
    ["half a cell of the first map away", "further right", "without height", "of other places", "x for y"],
)
def test_wrong_anchors_are_caught(check: Check, street: Street, files: LitertFiles, fault: str) -> None:
    assert files.int8 is not None
    anchors = litert_converter.anchors(street.detector)
    wrong, said = _wrong_anchors(anchors)[fault]
    parity = check(_with_anchors(files.int8, anchors, wrong))
    assert any(said in sentence for sentence in parity.failures), parity


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_halved("h_scale"), "boxes overlap"),
        (_halved("y_scale"), "boxes overlap"),
        (_wrong_steps, "boxes overlap"),
        (_lower, "scores are"),
        (_swapped(1, 2), "outputs are not boxes, classes, scores"),
        (_swapped(0, 3), "outputs are not boxes, classes, scores"),
        (_swapped(0, 2), "outputs are not boxes, classes, scores"),
    ],
    ids=[
        "scale of height",
        "scale of y",
        "steps of the image",
        "scores",
        "classes and scores",
        "boxes and count",
        "boxes and scores",
    ],
)
def test_a_wrong_scale_and_swapped_outputs_are_caught(
    check: Check, files: LitertFiles, change: Change, said: str
) -> None:
    assert files.int8 is not None
    assert check(_changed(files.int8, lambda *_: None)).passed
    parity = check(_changed(files.int8, change))
    assert any(said in sentence for sentence in parity.failures), parity


def test_a_network_that_shows_nothing_is_compared_by_the_best_that_it_finds(
    street: Street, open_images: OpenImages
) -> None:
    shy = restored(open_images)
    for name, variable in shy.variables().items():
        if "class_predictions_with_background" in name and name.endswith("bias/.ATTRIBUTES/VARIABLE_VALUE"):
            variable.assign_sub(np.full(variable.shape, 4.0))
    reference = litert_parity.float32_detections(shy, sorted(street.labels.names), street.photographs)
    content = litert_files(shy, street.labels, "shy").float16
    anchors = litert_converter.anchors(shy)
    right, wrong = (
        litert_parity.compare(each, shy, street.labels.names, street.photographs, reference)
        for each in (content, _with_anchors(content, anchors, anchors[::-1]))
    )

    assert (right.shown > 0, right.least_score < 0.3, right.failures) == (True, True, ())
    assert "or more found again" in str(right) and f" of {right.least_score:.2g} " in str(right)
    assert any("are found again" in sentence for sentence in wrong.failures)


def test_a_network_that_finds_nothing_shows_nothing_of_its_file(street: Street, files: LitertFiles) -> None:
    none = [(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))] * len(street.photographs)
    parity = litert_parity.compare(files.float16, street.detector, street.labels.names, street.photographs, none)
    assert "float32 finds nothing in these images" in parity.failures[0]


@pytest.fixture(scope="module")
def video() -> list[NDArray[np.uint8]]:
    files = sorted(VIDEO.rglob("*.jpg"))
    if len(files) < 100:
        pytest.skip(f"{VIDEO} is absent: a hundred photographs of streets are not in the repository")
    return [_photograph(file) for file in files]


def _photograph(file: Path) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(cv2.imread(str(file)), np.uint8)[..., ::-1])


@pytest.mark.verify
def test_photographs_on_which_it_was_not_calibrated(
    street: Street, video: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory, record: Record
) -> None:
    """Boxes are held against float32's own: mAP against labels that float32 gave would only say the same twice."""
    records = labelled(street.detector, street.labels, video[60::4], tmp_path_factory)
    found = litert_parity.float32_detections(street.detector, sorted(street.labels.names), records)
    files = litert_files(street.detector, street.labels, "open-images", video[:50:4])
    for name, content, least in (("float16", files.float16, 0.995), ("int8", files.int8, 0.9)):
        assert content is not None
        parity = litert_parity.compare(content, street.detector, street.labels.names, records, found)
        record(f"LiteRT {name} of the Open Images weights on frames it was not calibrated on", str(parity))
        assert (parity.found > 0.99, parity.empty, parity.shift < 0.02) == (True, 0.0, True)
        assert parity.overlap > least
        assert abs(parity.score_shift) < 0.02


@pytest.mark.verify
def test_photographs_that_people_labelled(street: Street, tmp_path: Path, record: Record) -> None:
    """Raccoons are no class of these weights, which take them for dogs more often than not."""
    if not RACCOONS.is_dir():
        pytest.skip(f"{RACCOONS} is absent: photographs with labels are not in the repository")
    entries = [entry for entry in read_dataset(RACCOONS).entries() if isinstance(entry, LabelledImage)]
    (dog,) = [number for number, name in street.labels.names.items() if name == "Dog"]
    with (tmp_path / "validation-00000-of-00001.tfrecord").open("wb") as stream:
        for entry in (entry for place, entry in enumerate(entries) if place % 5):
            seen = replace(entry, boxes=[replace(box, label=dog) for box in entry.boxes])
            write_record(stream, encode(example_of(seen, "jpeg", entry.encoded.load())))
    records = Records(tmp_path)
    found = litert_parity.float32_detections(street.detector, sorted(street.labels.names), records)
    calibrating = [_photograph(Path(entry.encoded.file)) for entry in entries[::5]]
    files = litert_files(street.detector, street.labels, "open-images", calibrating)
    for name, made in (("float16", files.float16), ("int8", files.int8)):
        assert made is not None
        parity = litert_parity.compare(made, street.detector, street.labels.names, records, found)
        record(f"LiteRT {name} of the Open Images weights on photographs that people labelled", str(parity))
        assert parity.failures == ()
        assert parity.overlap > 0.95
