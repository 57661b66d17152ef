# SPDX-License-Identifier: Apache-2.0
"""What EXIF says, and pixels and boxes that turn together as viewers turn them."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from containers.contract.orientation import exif_orientation, turn_boxes, turn_pixels, upright_size

HEIGHT, WIDTH = 147, 65


def tiff(orientation: int, order: str = ">", kind: int = 3, offset: int = 8, before: int = 0) -> bytes:
    """A TIFF header whose first directory states an orientation, after some entries of another tag."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    other = struct.pack(order + "HHIHH", 0x0110, 3, 1, 7, 0) * before
    entry = struct.pack(order + "HHIHH", 0x0112, kind, 1, orientation, 0)
    count = struct.pack(order + "H", before + 1)
    return mark + struct.pack(order + "I", offset) + bytes(offset - 8) + count + other + entry + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read_in_both_byte_orders_wherever_the_directory_lies(order: str, orientation: int) -> None:
    assert exif_orientation(tiff(orientation, order)) == orientation
    assert exif_orientation(tiff(orientation, order, offset=20, before=25)) == orientation


@pytest.mark.parametrize("count", [0, 1, 13])
def test_what_stands_behind_the_directory_is_none_of_it(count: int) -> None:
    directory = tiff(6, before=count)
    assert directory[8:10] == struct.pack(">H", count + 1)
    assert exif_orientation(directory[:8] + struct.pack(">H", count) + directory[10:]) == 1


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"MM\0*",
        b"MM\0*\xff\xff\xff\xff",
        b"XX\0*" + tiff(6)[4:],
        b"MM\0+" + tiff(6)[4:],
        tiff(0),
        tiff(9),
        tiff(6, kind=2),
        tiff(6)[:12],
        tiff(6, before=2)[:30],
    ],
)
def test_what_says_nothing_sensible_leaves_a_picture_as_it_is(exif: bytes) -> None:
    assert exif_orientation(exif) == 1


@given(st.binary(max_size=64), st.sampled_from([b"MM\0*", b"II*\0", b""]))
def test_no_bytes_are_worse_than_an_orientation(data: bytes, mark: bytes) -> None:
    assert 1 <= exif_orientation(mark + data) <= 8


@pytest.mark.parametrize("kind", ["RGB", "L", "RGBA", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_viewers_turn_them(orientation: int, kind: str) -> None:
    channels = {"RGB": (3,), "RGBA": (4,)}.get(kind, ())
    kinds = np.uint16 if kind == "I;16" else np.uint8
    pixels = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, *channels)).astype(kinds)
    picture = Image.fromarray(pixels)
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))

    turned = turn_pixels(pixels.copy(), orientation)

    np.testing.assert_array_equal(turned, expected)
    assert turned.flags.c_contiguous
    assert turned.shape[:2] == upright_size(HEIGHT, WIDTH, orientation)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 5, 3), (5, 1, 3), (64, 64, 3), (129, 2, 3)])
def test_pictures_of_any_size_turn_and_turn_back(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(7).integers(0, 256, shape, np.uint8)
    for orientation in range(1, 9):
        back = {6: 8, 8: 6}.get(orientation, orientation)
        np.testing.assert_array_equal(turn_pixels(turn_pixels(pixels.copy(), orientation), back), pixels)


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_what_keeps_its_size_is_turned_in_place(orientation: int) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert np.shares_memory(turn_pixels(pixels, orientation), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_stay_on_what_they_were_drawn_around(orientation: int) -> None:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[11:40, 5:24] = 255
    stored = np.array([[11, 5, 40, 24]], np.float32)

    rows, columns = np.nonzero(turn_pixels(pixels, orientation))
    found = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    turned = turn_boxes(stored, orientation, HEIGHT, WIDTH)

    np.testing.assert_array_equal(turned, [found])
    assert turned.dtype == stored.dtype
    upright = upright_size(HEIGHT, WIDTH, orientation)
    shares = turn_boxes((stored / [HEIGHT, WIDTH, HEIGHT, WIDTH]).astype(np.float32), orientation)
    np.testing.assert_allclose(shares * np.array(upright * 2, np.float32), turned, atol=1e-4)


def test_no_box_turns_into_no_box() -> None:
    assert turn_boxes(np.zeros((0, 4), np.float32), 6).shape == (0, 4)
