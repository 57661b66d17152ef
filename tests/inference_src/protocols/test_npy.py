# SPDX-License-Identifier: Apache-2.0
"""Arrays are read without believing their headers, and answers are what NumPy reads back."""

import io
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from inference_src.detections import Detections
from inference_src.errors import RequestError
from inference_src.protocols.npy import read_npy, write_npy

SHAPES = st.sampled_from([(2, 3, 3), (1, 1, 3), (2, 4, 5, 3), (1, 2, 2, 3)])


def saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def with_header(header: bytes, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(header).to_bytes(2 if version[0] == 1 else 4, "little") + header + data


@given(data=st.data(), dtype=st.sampled_from(["u1", "i1", "<i8", ">i4", "<u2", "<i2", ">u8"]), fortran=st.booleans())
def test_whole_numbers_of_any_width_are_pixels(data: st.DataObject, dtype: str, fortran: bool) -> None:
    highest = 127 if dtype == "i1" else 255
    shape = data.draw(SHAPES)
    array = data.draw(arrays.arrays(np.dtype(dtype), shape, elements=st.integers(0, highest)))
    images, alone = read_npy(saved(np.asfortranarray(array) if fortran else array), 128)
    assert alone == (len(shape) == 3)
    expected = [array] if alone else list(array)
    assert len(images) == len(expected)
    for image, pixels in zip(images, expected, strict=True):
        np.testing.assert_array_equal(image, pixels)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous


IMAGE = np.zeros((2, 2, 3), np.uint8)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (saved(IMAGE)[:-1], "11 bytes of 12"),
        (saved(IMAGE) + b"x", "13 bytes of 12"),
        (saved(IMAGE.astype(np.float32)), "float32"),
        (saved(IMAGE > 0), "bool"),
        (saved(IMAGE.astype(np.int16) - 1), "something else than whole numbers from 0 to 255"),
        (saved(IMAGE.astype(np.int16) + 256), "something else than whole numbers from 0 to 255"),
        (saved(IMAGE[:, :, :2]), "shape [2, 2, 2]"),
        (saved(IMAGE[0]), "shape [2, 3]"),
        (saved(IMAGE[:0]), "shape [0, 2, 3]"),
        (saved(np.zeros((1, 1, 1, 1, 3), np.uint8)), "shape [1, 1, 1, 1, 3]"),
        (saved(np.array([[["a"] * 3]], object)), "object"),
        (saved(np.zeros((1, 1, 3), [("a", "u1")])), "[('a', 'u1')]"),
        (b"\x93NUMPY", "header is damaged"),
        (b"", "header is damaged"),
        (b"PK\x03\x04", "header is damaged"),
        (with_header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 2, 3)}"), "header is damaged"),
        (with_header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (True, 1, 3)}", b"abc"), "header is damaged"),
        (with_header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999, 9999, 3)}", bytes(10**4)), "bytes of"),
        (with_header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1.5, 2, 3)}"), "header is damaged"),
        (with_header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999, 2, 3)}"), "header is damaged"),
        (
            with_header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (" + b"9" * 4000 + b", 2, 3)}"),
            "header is damaged",
        ),
        (with_header(b"{'descr': '|u1', 'fortran_order': False}"), "header is damaged"),
        (with_header(b"__import__('os').abort()"), "header is damaged"),
        (with_header(b"(" * 9000), "header is damaged"),
        (with_header(b"[" * 9000 + b"]" * 9000, version=b"\x02\x00"), "header is damaged"),
        (with_header(b"\xff\xfe"), "header is damaged"),
        (with_header(b"{'descr': '|u1'", version=b"\x09\x00"), "header is damaged"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "header is damaged"),
    ],
)
def test_what_is_no_image_is_400(body: bytes, said: str) -> None:
    tracemalloc.start()
    with pytest.raises(RequestError) as refused:
        read_npy(body, 128)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert refused.value.status == 400
    assert said in str(refused.value)


def test_nothing_is_unpickled() -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("it was unpickled",))

    for body in (saved_trap(Trap()), pickle.dumps(Trap())):
        with pytest.raises(RequestError):
            read_npy(body, 128)


def saved_trap(trap: object) -> bytes:
    return with_header(b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1, 3)}", pickle.dumps([trap] * 3))


def test_too_many_images_are_413() -> None:
    assert len(read_npy(saved(np.zeros((128, 1, 1, 3), np.uint8)), 128)[0]) == 128
    with pytest.raises(RequestError, match="129 images") as refused:
        read_npy(saved(np.zeros((129, 1, 1, 3), np.uint8)), 128)
    assert refused.value.status == 413


@given(junk=st.binary(max_size=200), keep=st.integers(0, 128))
def test_whatever_follows_the_magic_is_pixels_or_a_refusal(junk: bytes, keep: int) -> None:
    body = saved(IMAGE)[:keep] + junk
    try:
        images, _ = read_npy(body, 128)
    except RequestError as error:
        assert error.status in (400, 413)
    else:
        assert all(image.dtype == np.uint8 for image in images)


def test_an_answer_is_a_table_that_numpy_reads() -> None:
    boxes = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], [0, 0, 0, 0]], np.float32)
    two = Detections(boxes, np.array([0.9, 0.8, 0], np.float32), np.array([4, 1, 0], np.int32), 2)
    none = Detections(boxes * 0, np.zeros(3, np.float32), np.zeros(3, np.int32), 0)
    table: NDArray[np.float32] = np.load(io.BytesIO(write_npy([two], alone=True)), allow_pickle=False)
    assert table.dtype == np.float32
    np.testing.assert_array_equal(
        table, np.array([[0.1, 0.2, 0.3, 0.4, 0.9, 4], [0.5, 0.6, 0.7, 0.8, 0.8, 1]], np.float32)
    )
    batch = np.load(io.BytesIO(write_npy([none, two], alone=False)), allow_pickle=False)
    assert batch.shape == (2, 2, 6)
    assert not batch[0].any()
    np.testing.assert_array_equal(batch[1], table)
    assert np.load(io.BytesIO(write_npy([none], alone=True))).shape == (0, 6)
