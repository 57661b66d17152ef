# SPDX-License-Identifier: Apache-2.0
"""Rows of instances: every image form is read, every other shape is named."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from inference_src.errors import RequestError
from inference_src.protocols.tensorflow_serving import read_instances


def body(*instances: Any, **more: Any) -> bytes:
    return json.dumps({"instances": instances} | more).encode()


@given(image=arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2).map(lambda size: (*size, 3))))
def test_nested_lists_are_the_pixels(image: NDArray[np.uint8]) -> None:
    (read,) = read_instances(body(image.tolist()))
    np.testing.assert_array_equal(read, image)
    assert read.dtype == np.uint8


def test_encoded_and_named_instances_are_read(png: bytes, picture: NDArray[np.uint8]) -> None:
    encoded = {"b64": base64.b64encode(png).decode()}
    images = read_instances(body(encoded, {"input_tensor": encoded}, {"input_tensor": picture.tolist()}))
    for image in images:
        np.testing.assert_array_equal(image, picture)


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
    ],
)
def test_what_is_no_image_is_400_and_numbered(instance: Any) -> None:
    with pytest.raises(RequestError, match=r"^instances\[1\]: ") as refused:
        list(read_instances(body([[[0, 0, 0]]], instance)))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        (b'{"instances": [NaN]}', 400),
        (b'{"inputs": []}', 400),
        (b'{"instances": {}}', 400),
        (b'{"instances": []}', 400),
        (b'{"instances": [[[[0,0,0]]]], "signature_name": "train"}', 400),
        (body(*[0] * 129), 413),
    ],
)
def test_what_is_no_request_is_refused(text: bytes, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        list(read_instances(text))
    assert refused.value.status == status


def test_pixels_are_limited_over_the_whole_request(png: bytes) -> None:
    encoded = {"b64": base64.b64encode(png).decode()}
    images = read_instances(body(encoded, encoded, [[[0, 0, 0]]]), max_pixels=2 * 32 * 24)
    assert len([next(images), next(images)]) == 2
    with pytest.raises(RequestError, match=r"instances\[2\].*scale it down") as refused:
        next(images)
    assert refused.value.status == 413
