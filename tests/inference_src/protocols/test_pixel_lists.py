# SPDX-License-Identifier: Apache-2.0
"""Nested lists are read as a JSON parser and NumPy read them, whatever their white space, and nothing else is."""

import json
import random
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from inference_src.errors import RequestError
from inference_src.protocols import pixel_lists
from inference_src.protocols.pixel_lists import GREATEST_PIECE, SMALLEST_PIECE, read_pixel_lists

IMAGES = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2).map(lambda size: (*size, 3)))


def parsed(text: bytes) -> NDArray[np.uint8] | None:
    """What a JSON parser and NumPy make of a text: an image, or None."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        image = np.array(json.loads(text, parse_constant=refuse))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype.kind not in "iu":
        return None
    return image.astype(np.uint8) if image.min() >= 0 and image.max() <= 255 else None


def read(text: bytes) -> NDArray[np.uint8] | None:
    """What is read of a text: an image that ends with it, or None."""
    try:
        image, end = read_pixel_lists(text, 0)
    except RequestError as error:
        assert error.status == 400
        return None
    return image if end == len(text.rstrip()) else None


@given(image=IMAGES, spaces=st.lists(st.sampled_from(["", " ", "\n", "\t \r\n", " " * 50]), min_size=1), data=st.data())
def test_pixels_are_read_in_any_layout(image: NDArray[np.uint8], spaces: list[str], data: st.DataObject) -> None:
    order = random.Random(data.draw(st.integers(0, 99)))
    text = "".join(
        f"{order.choice(spaces)}{character}{order.choice(spaces)}" if character in "[]," else character
        for character in json.dumps(image.tolist(), separators=(",", ":"))
    ).strip()
    read_image, end = read_pixel_lists(text.encode() + b", 7]", 0)
    np.testing.assert_array_equal(read_image, image)
    assert read_image.dtype == np.uint8
    assert end == len(text)


@settings(max_examples=200)
@given(image=IMAGES, data=st.data())
def test_what_a_parser_and_numpy_refuse_is_refused(image: NDArray[np.uint8], data: st.DataObject) -> None:
    text = bytearray(
        json.dumps(image.tolist(), separators=data.draw(st.sampled_from([(",", ":"), (", ", ":")]))).encode()
    )
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(1, len(text) - 1))
        character = data.draw(st.sampled_from(list(b'0123456789,[] -.eE"tn{}:\n\x00\xff')))
        match data.draw(st.sampled_from(["replace", "insert", "remove"])):
            case "replace":
                text[place] = character
            case "insert":
                text.insert(place, character)
            case _:
                del text[place]
    expected, got = parsed(bytes(text)), read(bytes(text))
    assert (got is None) == (expected is None), bytes(text)
    if expected is not None:
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "number", ["00", "01", "256", "1000", "-1", "-0.0", "1.0", "1e1", "9" * 5000, "0x1", "+1", "NaN"]
)
@pytest.mark.parametrize("place", ["first", "last", "behind a piece"])
def test_a_number_that_is_no_grey_level_is_refused_wherever_it_is(number: str, place: str) -> None:
    level = "7," * 2
    row = f"[[{level}7]" + f",[{level}7]" * (GREATEST_PIECE // 8) + "]"
    text = {
        "first": f"[[[{number},0,0]]]",
        "last": f"[[[0,0,{number}]]]",
        "behind a piece": f"[{row},{row.replace('7]]', number + ']]')}]",
    }[place]
    with pytest.raises(RequestError, match="holds something else than whole numbers from 0 to 255"):
        read_pixel_lists(text.encode(), 0)


def test_minus_zero_is_zero() -> None:
    image, _ = read_pixel_lists(b"[[[-0,1,-0]]]", 0)
    assert image.tolist() == [[[0, 1, 0]]]


@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 40])
@pytest.mark.parametrize("piece", [16, 63, 64, 200])
def test_pieces_may_end_anywhere(width: int, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_lists, "SMALLEST_PIECE", 16)
    monkeypatch.setattr(pixel_lists, "GREATEST_PIECE", piece)
    for shift in range(9):
        image = np.random.default_rng(width).integers(0, 256, (100 // width + 1, width, 3), dtype=np.uint8)
        text = b" " * shift + json.dumps(image.tolist()).encode()
        read_image, end = read_pixel_lists(text, text.index(b"["))
        np.testing.assert_array_equal(read_image, image)
        assert end == len(text)


@pytest.mark.parametrize("width", [5, GREATEST_PIECE // 8, 40_000])
def test_large_images_are_read(width: int) -> None:
    image = np.random.default_rng(width).integers(0, 256, (120_000 // width, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_pixel_lists(json.dumps(image.tolist()).encode(), 0)[0], image)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "at least one row of at least one pixel"),
        ("[[]]", "at least one row of at least one pixel"),
        ("[[[]]]", "row 0 is not a list of pixels"),
        ("[[1, 2, 3]]", "row 0 is not a list of pixels"),
        ("[1, 2, 3]", "row 0 is not a list of pixels"),
        ("[[[1, 2, 3, 4]]]", "row 0 is not a list of pixels"),
        ("[[[1, 2, 3]], [[1, 2, 3], [1, 2, 3]]]", "row 1 is not 1 pixels of 3 numbers"),
        ("[[[1, 2, 3]], [[1, 2, 3]], [[1, 2]]]", "row 2 is not 1 pixels of 3 numbers"),
        ("[[[1, 2, 3]], [[1, 2, 3]], []]", "row 2 is not 1 pixels of 3 numbers"),
        ("[[[1, 2, 3]],, [[1, 2, 3]]]", "row 1 is not"),
        ("[[[1, 2, 3]], [[1, null, 3]]]", "row 1 holds something else"),
        ("[[[1, 2, 3]], ", "no JSON"),
        ("[[[1, 2, 3", "no JSON"),
        ("[", "no JSON"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(text: str, said: str) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        read_pixel_lists(text.encode(), 0)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "text",
    [b"[" * 2**23, b"[" + b"[]," * 2**22, b"[[[" + b"1" * 2**23, b"[" + b" " * 2**23, b"[[" + b"[0,0,0]," * 2**20],
    ids=["deep", "empty lists", "one number", "white space", "one row"],
)
def test_no_text_costs_more_than_its_bytes(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in pieces: none is read twice, and what is refused is refused at its first fault."""
    read_bytes = []
    numbers = pixel_lists._numbers

    def counted(piece: NDArray[np.uint8]) -> Any:
        read_bytes.append(len(piece))
        return numbers(piece)

    monkeypatch.setattr(pixel_lists, "_numbers", counted)
    with pytest.raises(RequestError):
        read_pixel_lists(text, 0)
    assert sum(read_bytes) <= len(text)
    assert max(read_bytes) <= GREATEST_PIECE
    if text[:3] in (b"[[[", b"[[]") and b"0" not in text:
        assert sum(read_bytes) <= SMALLEST_PIECE


def test_other_threads_go_on_meanwhile() -> None:
    """A thread that wants to run now and then is not kept from it for as long as the image takes."""
    image = np.random.default_rng(0).integers(0, 256, (300, 1000, 3), dtype=np.uint8)
    text = json.dumps(image.tolist()).encode()
    pauses: list[float] = []
    done = threading.Event()

    def tick() -> None:
        before = time.perf_counter()
        while not done.is_set():
            time.sleep(0.0005)
            now = time.perf_counter()
            pauses.append(now - before)
            before = now

    thread = threading.Thread(target=tick)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.001)
    try:
        thread.start()
        begun = time.perf_counter()
        for _ in range(5):
            read_pixel_lists(text, 0)
        taken = time.perf_counter() - begun
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert sum(pause for pause in pauses if pause > taken / 15) < taken / 2  # to a parser it is all of it
