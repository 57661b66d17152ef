# SPDX-License-Identifier: Apache-2.0
"""Rows of instances: every image form is read, every other shape is named."""

import base64
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from inference_src.errors import RequestError
from inference_src.protocols.tensorflow_serving import read_request


def body(*instances: Any, **more: Any) -> bytes:
    return json.dumps({"instances": instances} | more).encode()


@given(image=arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2).map(lambda size: (*size, 3))))
def test_nested_lists_are_the_pixels(image: NDArray[np.uint8]) -> None:
    (read,) = read_request(body(image.tolist())).images()
    np.testing.assert_array_equal(read, image)
    assert read.dtype == np.uint8


def test_encoded_and_named_instances_are_read(png: bytes, picture: NDArray[np.uint8]) -> None:
    encoded = {"b64": base64.b64encode(png).decode()}
    images = read_request(body(encoded, {"input_tensor": encoded}, {"input_tensor": picture.tolist()})).images()
    for image in images:
        np.testing.assert_array_equal(image, picture)


BLACK, WHITE = [[[0, 0, 0]]], [[[255, 255, 255]]]


@pytest.mark.parametrize(
    ("request_body", "form", "images"),
    [
        ({"instances": [BLACK, WHITE]}, "rows", [BLACK, WHITE]),
        ({"instances": [{"input_tensor": BLACK}], "signature_name": "serving_default"}, "rows", [BLACK]),
        ({"signature_name": "", "instances": [BLACK]}, "rows", [BLACK]),
        ({"instances": [BLACK], "parameters": {"a": [1, {"b": None}]}}, "rows", [BLACK]),
        ({"inputs": [BLACK, WHITE]}, "columns", [BLACK, WHITE]),
        ({"inputs": {"input_tensor": [BLACK, WHITE]}}, "columns", [BLACK, WHITE]),
        ({"inputs": BLACK}, "columns", [BLACK]),
        ({"inputs": {"input_tensor": BLACK}}, "columns", [BLACK]),
        ([BLACK, WHITE], "rows", [BLACK, WHITE]),
        ([{"input_tensor": BLACK}, {"input_tensor": WHITE}], "rows", [BLACK, WHITE]),
        (BLACK, "image", [BLACK]),
        ({"input_tensor": WHITE}, "image", [WHITE]),
    ],
)
def test_every_form_of_a_request_is_read(request_body: Any, form: str, images: list[Any]) -> None:
    for indent in (None, 1):
        request = read_request(json.dumps(request_body, indent=indent).encode())
        assert request.form == form
        assert [image.tolist() for image in request.images()] == images


@pytest.mark.parametrize("wrap", ["inputs", "input", "list", "alone", "named"])
def test_encoded_images_stand_wherever_lists_do(png: bytes, picture: NDArray[np.uint8], wrap: str) -> None:
    encoded = {"b64": base64.b64encode(png).decode()}
    wrapped: dict[str, Any] = {
        "inputs": {"inputs": [encoded]},
        "input": {"inputs": {"input_tensor": encoded}},
        "list": [encoded],
        "alone": encoded,
        "named": {"input_tensor": encoded},
    }
    (image,) = read_request(json.dumps(wrapped[wrap]).encode()).images()
    np.testing.assert_array_equal(image, picture)


def test_base64_that_stands_bare_is_told_how_it_should(png: bytes) -> None:
    bare = base64.b64encode(png * 1000).decode()
    with pytest.raises(RequestError, match=r"instances\[0\]: an image is nested lists .*b64"):
        read_request(body(bare))


def test_lines_are_one_image_each() -> None:
    lines = "\n".join(json.dumps(line) for line in (BLACK, {"input_tensor": WHITE}, BLACK)).encode()
    assert [image.tolist() for image in read_request(lines, lines=True).images()] == [BLACK, WHITE, BLACK]
    whole = body(BLACK, WHITE) + b"\n"
    assert len(read_request(whole, lines=True).instances) == 2
    for refused in (body(BLACK) * 2, body(BLACK) + lines):
        with pytest.raises(RequestError, match="one image each"):
            read_request(refused, lines=True)
    with pytest.raises(RequestError, match="no JSON"):
        read_request(lines)
    with pytest.raises(RequestError, match="more than 128 images") as too_many:
        read_request(json.dumps(BLACK).encode() * 129, lines=True)
    assert too_many.value.status == 413


@pytest.mark.parametrize(
    "instance",
    [
        1,
        "text",
        None,
        [],
        [[]],
        [[1, 2, 3]],
        [[[1, 2]]],
        [[[1, 2, 3, 4]]],
        [[[1, 2, 3]], [[1, 2, 3], [1, 2, 3]]],
        [[[1, 2, 256]]],
        [[[1, 2, -1]]],
        [[[1, 2, 3.5]]],
        [[[1, 2, "3"]]],
        [[[1, 2, None]]],
        [[[True, False, True]]],
        [[[1, 2, 2**70]]],
        {"b64": 1},
        {"b64": "", "other": 1},
        {"image": []},
        {"input_tensor": {"input_tensor": []}},
        {"input_tensor": 1},
        {},
    ],
)
def test_what_is_no_image_is_400_and_numbered(instance: Any) -> None:
    with pytest.raises(RequestError, match=r"^instances\[1\]: ") as refused:
        read_request(body([[[0, 0, 0]]], instance))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        (b'{"instances": [NaN]}', 400),
        (b'{"inputs": []}', 400),
        (b'{"inputs": {}}', 400),
        (b'{"inputs": {"image": [[[[0,0,0]]]]}}', 400),
        (b'{"inputs": [[[[0,0,0]]]], "instances": [[[[0,0,0]]]]}', 400),
        (b'{"instances": [[[[0,0,0]]]], "instances": [[[[0,0,0]]]]}', 400),
        (b'{"instances": [[[[0,0,0]]]]} x', 400),
        (b'{"instances": [[[[0,0,0]]]],}', 400),
        (b'{"instances": [[[[0,0,0]]]] "a": 1}', 400),
        (b'{"examples": []}', 400),
        (b"[]", 400),
        (b"[1]", 400),
        (b"[[1]]", 400),
        (b"[[[[[0,0,0]]]]]", 400),
        (b"1", 400),
        (b'"text"', 400),
        (b"null", 400),
        (b'{"instances": {}}', 400),
        (b'{"instances": []}', 400),
        (b'{"instances": [[[[0,0,0]]]], "signature_name": "train"}', 400),
        (b'{"instances": [[[[0,0,0]]]], "signature_name": ["train"]}', 400),
        (body(*[0] * 129), 413),
    ],
)
def test_what_is_no_request_is_refused(text: bytes, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        read_request(text)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"inputs": "/9j/4AAQ"}', "inputs: an image is nested lists"),
        (b'{"inputs": 7}', "inputs: an image is nested lists"),
        (b'{"inputs": null}', "inputs: an image is nested lists"),
        (b'{"instances": [{"b64": ""}]}', "instances[0]: the image is empty: give the bytes of a JPEG or PNG file"),
    ],
)
def test_what_is_json_is_not_called_otherwise(text: bytes, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        next(read_request(text).images())
    assert said in str(refused.value)


def test_pixels_are_limited_over_the_whole_request(png: bytes) -> None:
    encoded = {"b64": base64.b64encode(png).decode()}
    images = read_request(body(encoded, encoded, [[[0, 0, 0]]])).images(max_pixels=2 * 32 * 24)
    assert len([next(images), next(images)]) == 2
    with pytest.raises(RequestError, match=r"instances\[2\].*scale it down") as refused:
        next(images)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "text",
    [
        b'{"instances": [' + b"[]," * 2**22,
        b"[" * 2**23,
        b'{"a":' * 2**20,
        b'{"instances": [{"b64": "' + b"A" * 2**23,
        b'{"instances": [{"b64": "' + b'\\"' * 2**22 + b'"}]}',
        b'{"instances": ["' + b"A" * 2**23 + b'"]}',
        b'{"instances": [' + b"9" * 2**23 + b"]}",
        b'{"' + b"k" * 2**23 + b'": 1}',
        b"{" + b'"k": 0,' * 2**20,
        b" " * 2**23,
        b"\xef\xbb\xbf",
    ],
)
def test_hostile_texts_are_refused_in_little_memory(text: bytes) -> None:
    """A parser would make a hundred times as much of the first."""
    tracemalloc.start()
    with pytest.raises(RequestError) as refused:
        list(read_request(text, lines=True).images())
    assert refused.value.status == 400
    assert tracemalloc.get_traced_memory()[1] < 2 * len(text) + 2**23
    tracemalloc.stop()
