# SPDX-License-Identifier: Apache-2.0
"""From a request's headers, first bytes and body to its answer, without a server around it."""

import base64
import gzip
import io
import json
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from containers.contract.pictures import MAX_PIXELS
from inference_src.detections import Detections
from inference_src.errors import RequestError
from inference_src.images import Image
from inference_src.model import ObjectClass
from inference_src.picture_memory import PictureMemory
from inference_src.protocols import BEGINNING, Answer, Asked, Model, read_headers
from inference_src.tiles import window_bytes

CLASSES = [ObjectClass(id=1, name="vehicle"), ObjectClass(id=2, name="Stop sign"), ObjectClass(id=4, name="cyclist")]
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
BLACK = [[[0, 0, 0]] * 4] * 4


class Fixed:
    """Finds the same three objects in every image, and keeps the images' sizes."""

    def __init__(self, further: bool = True) -> None:
        self.seen: list[tuple[int, int]] = []
        self._further = further

    def detect(self, image: Image, further: bool = False) -> Detections:
        self.seen.append((image.shape[0], image.shape[1]))
        further = further and self._further
        return Detections(
            boxes=np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.6, 0.6], [0.7, 0.1, 0.9, 0.2], [0] * 4], np.float32),
            scores=np.array([0.9, 0.6, 0.3, 0], np.float32),
            classes=np.array([1, 2, 4, 0], np.int32),
            count=3,
            anchor_indices=np.array([7, 8, 9, 0], np.int32) if further else None,
            multiclass_scores=np.eye(4, dtype=np.float32) if further else None,
        )


def ask(body: bytes, detector: Fixed | None = None, attributes: str | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = read_headers(named if attributes is None else named | {ATTRIBUTES: attributes})
    asked.check_beginning(body[:BEGINNING])
    return asked.answer(body, Model(detector or Fixed(), CLASSES))


def told(body: bytes, detector: Fixed | None = None, attributes: str | None = None, **headers: str) -> Any:
    return json.loads(ask(body, detector, attributes, **headers).body)


def saved(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "content_type",
    ["", "application/x-image", "image/jpg", "image/webp", "application/octet-stream", "file-path/raw-bytes",
     "application/json", "application/x-npy", "multipart/form-data; boundary=x", "nonsense"],
)  # fmt: skip
def test_a_picture_is_known_by_its_first_bytes(jpeg: bytes, png: bytes, content_type: str) -> None:
    for picture in (jpeg, png):
        assert told(picture, content_type=content_type)["classes"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("content_type", "first", "status", "said"),
    [
        ("text/csv", b"1,2,3", 415, "Content-Type text/csv: send one of application/x-image, image/jpeg"),
        ("", b"GIF89a", 415, "Content-Type is missing"),
        ("application/octet-stream", b"x", 415, "Content-Type application/octet-stream"),
        ("image/png", b"GIF89a", 415, "neither JPEG nor PNG by its first bytes"),
        ("text/csv", b"[", 415, "Content-Type text/csv"),
        ("multipart/form-data; boundary=x", b"--x\r\n", 415, "send the picture's bytes as the whole body"),
        ("application/octet-stream", b"RIFF\0\0\0\0WEBP", 415, "nor JSON by its first bytes: convert"),
        ("", b"\0\0\0\x18ftypheic", 415, "nor JSON by its first bytes: convert"),
        ("image/webp", b"RIFF\0\0\0\0WEBP", 415, "Content-Type image/webp: the image is neither JPEG nor PNG"),
        ("application/json", '{"instances"'.encode("utf-16"), 400, "JSON in UTF-16 or UTF-32: encode it as UTF-8"),
        ("", "[[[0,".encode("utf-16-le"), 400, "JSON in UTF-16 or UTF-32: encode it as UTF-8"),
        ("", '{"b'.encode("utf-32-be"), 400, "JSON in UTF-16 or UTF-32: encode it as UTF-8"),
    ],
)
def test_what_is_not_understood_is_415_at_its_first_bytes(
    content_type: str, first: bytes, status: int, said: str
) -> None:
    with pytest.raises(RequestError) as refused:
        read_headers({"content-type": content_type}).check_beginning(first)
    assert refused.value.status == status
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "content_type", ["", "image/jpeg", "application/octet-stream", "text/csv", "application/json", "application/x-npy"]
)
def test_an_empty_body_is_400(content_type: str) -> None:
    with pytest.raises(RequestError, match="the body is empty: send") as refused:
        ask(b"", content_type=content_type)
    assert refused.value.status == 400


@pytest.mark.parametrize("content_type", ["", "application/json", "application/x-npy", "image/jpeg", "text/csv"])
@pytest.mark.parametrize(
    ("coding", "body", "said"),
    [
        ("", gzip.compress(b"{}"), "compressed by gzip: send it as it is"),
        ("", b"\x28\xb5\x2f\xfd\x20\x02", "compressed by zstd: send it as it is"),
        ("GZip", gzip.compress(b"{}"), "Content-Encoding gzip: send the body as it is"),
        ("identity, deflate", zlib.compress(b"{}"), "Content-Encoding identity, deflate: send the body as it is"),
        ("br", b"[\x12\0\xf8", "Content-Encoding br: send the body as it is"),
    ],
)
def test_a_compressed_body_is_415(content_type: str, coding: str, body: bytes, said: str) -> None:
    """SageMaker passes no Content-Encoding on, so that the first bytes alone tell of it there."""
    with pytest.raises(RequestError) as refused:
        ask(body, content_type=content_type, content_encoding=coding)
    assert refused.value.status == 415
    assert said in str(refused.value)


@pytest.mark.parametrize("coding", ["identity", "UTF-8", "gzip"])
def test_a_picture_is_one_whatever_its_coding_is_said_to_be(jpeg: bytes, coding: str) -> None:
    assert told(jpeg, content_encoding=coding)["classes"] == [0, 1, 2]
    if coding != "gzip":
        assert told(json.dumps([BLACK]).encode(), content_encoding=coding, content_type="application/json")


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("before", [b"", b"\n  ", b" " * 40, b"\xef\xbb\xbf"])
def test_json_needs_no_name_either(content_type: str, before: bytes) -> None:
    """TensorFlow Serving looks at no content type, and its documentation's curl calls JSON a form."""
    body = before + json.dumps({"instances": [BLACK]}).encode()
    assert len(told(body, content_type=content_type)["predictions"]) == 1


def test_columns_are_answered_in_columns() -> None:
    outputs = told(json.dumps({"inputs": [BLACK, BLACK]}).encode(), content_type="application/json")["outputs"]
    assert {name: np.shape(value) for name, value in outputs.items()} == {
        "detection_boxes": (2, 4, 4),
        "detection_scores": (2, 4),
        "detection_classes": (2, 4),
        "num_detections": (2,),
    }


def test_arrays_are_answered_as_arrays_to_whoever_takes_nothing_else() -> None:
    image = np.zeros((5, 4, 3), np.uint8)
    answer = ask(saved(image), content_type="application/x-npy", accept="application/x-npy")
    assert answer.media_type == "application/x-npy"
    table = np.load(io.BytesIO(answer.body))
    assert table.shape == (3, 6)
    assert table[1].tolist() == pytest.approx([0.5, 0.5, 0.6, 0.6, 0.6, 2])
    batch = ask(saved(np.stack([image] * 2)), accept="application/x-npy")
    assert np.load(io.BytesIO(batch.body)).shape == (2, 3, 6)
    assert len(told(saved(image))["predictions"]) == 1


def test_lines_are_answered_in_one_line(jpeg: bytes) -> None:
    lines = "\n".join([json.dumps(BLACK)] * 3).encode()
    answer = ask(lines, content_type="application/jsonlines", accept="application/jsonlines")
    assert answer.media_type == "application/jsonlines"
    assert b"\n" not in answer.body
    assert len(json.loads(answer.body)["predictions"]) == 3
    assert ask(jpeg, accept="application/jsonlines").media_type == "application/jsonlines"


@pytest.mark.parametrize(
    ("attributes", "classes"),
    [
        ("mapgate-threshold=0.5", [0, 1]),
        ("mapgate-threshold=0.5,mapgate-class-thresholds=cyclist:0.2|Stop%20sign:0.7", [0, 2]),
        ("mapgate-classes=cyclist|Stop%20sign", [1, 2]),
        ("mapgate-classes=Stop%20%20sign,mapgate-class-thresholds=Stop%20%20sign:0.1", [1]),
        ("mapgate-max-detections=1", [0]),
        ("mapgate-max-detections=1,mapgate-classes=cyclist", [2]),
        ("trace=7", [0, 1, 2]),
    ],
)
def test_attributes_choose_what_is_told_in_every_form(jpeg: bytes, attributes: str, classes: list[int]) -> None:
    asked = attributes
    answer = ask(jpeg, attributes=asked)
    assert json.loads(answer.body)["classes"] == classes
    assert dict(answer.headers) == {ATTRIBUTES: attributes}
    assert answer.detections == len(classes)
    (row,) = told(json.dumps([BLACK]).encode(), attributes=asked)["predictions"]
    assert row["num_detections"] == len(classes)
    assert row["detection_classes"] == [CLASSES[index].id for index in classes] + [0] * (4 - len(classes))
    table = np.load(io.BytesIO(ask(jpeg, accept="application/x-npy", attributes=asked).body))
    assert table[:, 5].tolist() == [CLASSES[index].id for index in classes]


def test_without_attributes_the_header_is_absent(jpeg: bytes) -> None:
    assert not ask(jpeg).headers


def test_verbose_gives_the_model_s_own_output_whatever_was_chosen(jpeg: bytes) -> None:
    asked = "mapgate-threshold=0.7"
    answer = told(jpeg, accept="application/json;verbose", attributes=asked)
    assert answer["classes"] == [0]
    assert answer["tensorflow_model_output"]["num_detections"] == [3.0]


def test_a_class_of_another_model_is_400(jpeg: bytes) -> None:
    with pytest.raises(RequestError, match="did you mean Stop sign") as refused:
        ask(jpeg, attributes="mapgate-classes=Stop sing")
    assert refused.value.status == 400


def test_further_outputs_are_given_on_request(jpeg: bytes) -> None:
    asked = "mapgate-outputs=detection_anchor_indices|detection_multiclass_scores,mapgate-threshold=.5"
    (row,) = told(json.dumps([BLACK]).encode(), attributes=asked)["predictions"]
    assert row["detection_anchor_indices"] == [7, 8, 0, 0]
    assert np.shape(row["detection_multiclass_scores"]) == (4, 4)
    raw = told(jpeg, attributes=asked)["tensorflow_model_output"]
    assert raw["detection_anchor_indices"] == [[7, 8, 9, 0]]
    with pytest.raises(RequestError, match="does not give detection_anchor_indices") as refused:
        ask(jpeg, Fixed(further=False), attributes=asked)
    assert refused.value.status == 400
    assert "detection_anchor_indices" not in told(json.dumps([BLACK]).encode())["predictions"][0]
    with pytest.raises(RequestError, match="no place for them in application/x-npy"):
        ask(jpeg, attributes=asked, accept="application/x-npy")


def test_tiles_look_at_windows_beside_the_whole(jpeg: bytes) -> None:
    detector = Fixed()
    answer = ask(jpeg, detector, attributes="mapgate-tiles=2x1")
    assert detector.seen == [(24, 32), (24, 18), (24, 18)]
    assert answer.images == 1
    assert answer.pixels == 24 * 32
    with pytest.raises(RequestError, match="more than 128 windows") as refused:
        ask(json.dumps([BLACK] * 43).encode(), detector, attributes="mapgate-tiles=2x1")
    assert refused.value.status == 413


def test_an_answer_tells_what_it_took(png: bytes) -> None:
    encoded = {"b64": base64.b64encode(png).decode()}
    answer = ask(json.dumps({"instances": [encoded, BLACK]}).encode(), content_type="application/json")
    assert (answer.images, answer.pixels, answer.detections) == (2, 24 * 32 + 16, 6)
    assert set(answer.milliseconds) == {"decode", "detect", "encode"}
    assert all(value >= 0 for value in answer.milliseconds.values())


def test_decoded_images_take_their_memory_one_by_one_and_give_it_back(jpeg: bytes, png: bytes) -> None:
    """Room for one: a second at the same time would wait, and be refused."""
    memory = PictureMemory(24 * 32 * 3)

    class Asking(Fixed):
        def detect(self, image: Image, further: bool = False) -> Detections:
            with pytest.raises(RequestError, match="pictures at work"), memory.taken(1, 0.01):
                pass
            return super().detect(image, further)

    model = Model(Asking(), CLASSES, memory)
    encoded = {"b64": base64.b64encode(png).decode()}
    for body in (jpeg, json.dumps({"instances": [encoded] * 3}).encode()):
        asked: Asked = read_headers({})
        assert asked.answer(body, model).images in (1, 3)
        with memory.taken(24 * 32 * 3, 0.01):
            pass
    assert MAX_PIXELS > 24 * 32


def test_an_image_is_gone_before_the_next_one_takes_its_memory(jpeg: bytes, png: bytes) -> None:
    seen: list[weakref.ref[Image]] = []
    alive: list[int] = []

    class Watching(PictureMemory):
        @contextmanager
        def taken(self, count: int, seconds: float) -> Iterator[None]:
            alive.append(sum(each() is not None for each in seen))
            with super().taken(count, seconds):
                yield
                alive.append(sum(each() is not None for each in seen))

    class Keeping(Fixed):
        def detect(self, image: Image, further: bool = False) -> Detections:
            seen.append(weakref.ref(image))
            return super().detect(image, further)

    encoded = [{"b64": base64.b64encode(picture).decode()} for picture in (png, jpeg, png)]
    for body in (json.dumps({"instances": encoded}).encode(), jpeg, png):
        read_headers({}).answer(body, Model(Keeping(), CLASSES, Watching(10**6)))
    assert alive == [0] * 10


def test_windows_take_their_memory_with_the_image(jpeg: bytes) -> None:
    most = 24 * 32 * 3 + window_bytes(24, 32, 2, 1)
    memory, looks = PictureMemory(most), []

    class Asking(Fixed):
        def detect(self, image: Image, further: bool = False) -> Detections:
            looks.append(image.size)
            with pytest.raises(RequestError, match="pictures at work"), memory.taken(1, 0.01):
                pass
            return super().detect(image, further)

    read_headers({ATTRIBUTES: "mapgate-tiles=2x1"}).answer(jpeg, Model(Asking(), CLASSES, memory))
    assert looks == [24 * 32 * 3, most - 24 * 32 * 3, most - 24 * 32 * 3]
    with memory.taken(most, 0.01):
        pass


@pytest.mark.parametrize("accept", ["application/json", "application/x-npy"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_our_fault(jpeg: bytes, accept: str, value: float) -> None:
    class NotFinite(Fixed):
        def detect(self, image: Image, further: bool = False) -> Detections:
            found = super().detect(image, further)
            found.boxes[1, 2] = value
            return found

    with pytest.raises(ValueError, match="not finite"):
        ask(jpeg, NotFinite(), accept=accept)


def test_answers_keep_every_bit_of_float32(jpeg: bytes) -> None:
    found = Fixed().detect(np.zeros((1, 1, 3), np.uint8))
    answer = told(jpeg)
    np.testing.assert_array_equal(np.array(answer["scores"], np.float32), found.scores[:3])
    np.testing.assert_array_equal(np.array(answer["normalized_boxes"], np.float32), found.boxes[:3, [1, 0, 3, 2]])


def test_what_fails_in_a_model_gives_the_memory_back(jpeg: bytes) -> None:
    memory = PictureMemory(24 * 32 * 3)

    class Broken(Fixed):
        def detect(self, image: Image, further: bool = False) -> Detections:
            raise RuntimeError(f"{image.shape} {further}")

    with pytest.raises(RuntimeError):
        read_headers({}).answer(jpeg, Model(Broken(), CLASSES, memory))
    with memory.taken(24 * 32 * 3, 0.01):
        pass


SEEDS = [
    json.dumps(
        {"instances": [BLACK, {"b64": "AAAA"}], "signature_name": "serving_default", "a": [1, {"b": "c"}]}
    ).encode(),
    json.dumps({"inputs": {"input_tensor": [BLACK]}}, indent=1).encode(),
    json.dumps(BLACK).encode() + b"\n" + json.dumps({"input_tensor": BLACK}).encode(),
    saved(np.zeros((2, 3, 3, 3), np.uint8)),
    saved(np.zeros((3, 3, 3), np.int64)),
]
HEADERS = [
    "application/json;verbose;n_predictions=5",
    "application/x-npy, application/jsonlines;q=0.5",
    "trace=1,mapgate-threshold=0.4,mapgate-class-thresholds=vehicle:0.5|Stop%20sign:1,mapgate-tiles=2x2",
    "mapgate-outputs=detection_anchor_indices,mapgate-classes=cyclist",
]


def mutated(data: st.DataObject, seed: bytes) -> bytes:
    text = bytearray(seed)
    for _ in range(data.draw(st.integers(0, 4))):
        begin = data.draw(st.integers(0, len(text)))
        text[begin : begin + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    return bytes(text)


@settings(max_examples=300)
@given(data=st.data())
def test_whatever_is_sent_is_answered_or_refused(data: st.DataObject) -> None:
    body = mutated(data, data.draw(st.sampled_from(SEEDS)))
    accept, attributes = (
        mutated(data, data.draw(st.sampled_from(HEADERS)).encode()).decode("latin-1") for _ in range(2)
    )
    content_type = data.draw(st.sampled_from(["", "application/json", "application/jsonlines", "application/x-npy"]))
    try:
        asked = read_headers({"content-type": content_type, "accept": accept})
        asked = read_headers({"content-type": content_type, ATTRIBUTES: attributes})
        asked.check_beginning(body[:BEGINNING])
        answer = asked.answer(body, Model(Fixed(), CLASSES))
    except RequestError as error:
        assert error.status in (400, 406, 413, 415)
        assert len(str(error)) < 1000
    else:
        assert answer.body
