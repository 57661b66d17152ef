# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.picture_files import with_orientation
from training_src.data.images import (
    BrokenImageError,
    DecodeCheck,
    ImageFacts,
    decode_grey,
    decode_picture,
    decode_upright,
    read_header,
)
from training_src.errors import DataError

Encode = Callable[..., bytes]


def inspect(encoded: bytes, how: DecodeCheck = "reduced") -> ImageFacts:
    """What the header says of an image that is whole, as far as `how` looks."""
    facts = read_header(encoded)
    decode_grey(encoded, facts, how)
    return facts


@pytest.mark.parametrize(("suffix", "format_"), [(".jpg", "jpeg"), (".png", "png")])
def test_whole_image_tells_its_format_and_size(encoded_image: Encode, suffix: str, format_: str) -> None:
    assert inspect(encoded_image(1, suffix)) == ImageFacts(format_, 64, 48)


@pytest.mark.parametrize("how", get_args(DecodeCheck))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95, 0.999])
def test_truncated_image_is_noticed(encoded_image: Encode, suffix: str, share: float, how: DecodeCheck) -> None:
    encoded = encoded_image(1, suffix)

    with pytest.raises(BrokenImageError):
        inspect(encoded[: int(len(encoded) * share)], how)


@pytest.mark.parametrize("how", ["full", "reduced"])
@pytest.mark.parametrize("flags", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)])
def test_every_truncation_of_a_jpeg_is_noticed_however_it_is_coded(how: DecodeCheck, flags: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 120, 3), np.uint8)
    encoded = bytes(cv2.imencode(".jpg", pixels, flags)[1])
    overlooked = []
    for length in range(2, len(encoded) - 1, 61):
        try:
            inspect(encoded[:length], how)
            overlooked.append(length)
        except BrokenImageError:
            continue

    assert inspect(encoded, how) == ImageFacts("jpeg", 120, 96)
    assert overlooked == []


def test_flipped_bit_in_a_png_is_noticed(encoded_image: Encode) -> None:
    encoded = bytearray(encoded_image(1, ".png"))
    encoded[len(encoded) // 2] ^= 8

    with pytest.raises(BrokenImageError, match="checksum"):
        inspect(bytes(encoded))


@pytest.mark.parametrize(
    ("encoded", "sentence"),
    [(b"", "is empty"), (b"GIF89a...", "is GIF, not JPEG or PNG"), (b"Hello", "is neither JPEG nor PNG")],
)
def test_other_files_are_refused(encoded: bytes, sentence: str) -> None:
    with pytest.raises(BrokenImageError, match=sentence):
        inspect(encoded)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_images_are_decoded_upright(encoded_image: Encode, suffix: str, orientation: int) -> None:
    encoded = encoded_image(1, suffix)
    turned = with_orientation(encoded, orientation)
    picture = Image.fromarray(decode_upright(encoded))
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))

    np.testing.assert_array_equal(decode_upright(turned), expected)
    facts = read_header(turned)
    assert facts.orientation == orientation
    grey = decode_grey(turned, facts, "full")
    assert grey is not None
    assert np.abs(grey.astype(float) - expected @ [0.299, 0.587, 0.114]).mean() < 1


def test_scratch_memory_is_used_where_it_suffices(encoded_image: Encode) -> None:
    turned, scratch = with_orientation(encoded_image(1, ".jpg"), 3), np.empty(64 * 48 * 3, np.uint8)
    found = decode_upright(turned, scratch)
    assert np.shares_memory(found, scratch)
    np.testing.assert_array_equal(found, decode_upright(turned, scratch[:10]))


@pytest.mark.parametrize(
    ("encoded", "sentence"), [(b"", "is empty"), (b"no image", "is neither JPEG nor PNG"), (b"\xff\xd8\xff", "cut off")]
)
def test_image_that_cannot_be_decoded_is_named(encoded: bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=rf'image "b\.jpg" .*{sentence}'):
        decode_picture(encoded, "b.jpg")
