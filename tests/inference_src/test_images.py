# SPDX-License-Identifier: Apache-2.0
"""Images are decoded to the pixels that training sees, and no sender is trusted."""

import base64
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from containers.contract.picture_header import read_header
from inference_src.errors import RequestError
from inference_src.images import MAX_SCANNED_PIXELS, decode_image, decoded_image, peak_bytes
from inference_src.picture_memory import ALIGNMENT, PictureMemory
from tests.picture_files import cmyk_jpegs, grey_in_scans, with_orientation

Pixels = NDArray[np.uint8]

# 8 x 8 grey pixels, as libjpeg-turbo writes them without loss, and with 12 bits a sample.
LOSSLESS = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/8MAEQgACAAIA1IRAEcRAEIRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAAG/9oADANSAEcAQgABAACZ"
    "mZkAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAf/2Q=="
)
TWELVE_BITS = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19i"
    "Z2hnPk1xeXBkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2Nj"
    "Y2NjY2NjY2P/wQARDAAIAAgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAn/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QA"
    "FAEBAAAAAAAAAAAAAAAAAAAAAP/EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAMAwEAAhEDEQA/AJngA//Z"
)


def test_jpeg_is_decoded_with_the_accurate_transform(jpeg: bytes) -> None:
    np.testing.assert_array_equal(decode_image(jpeg), simplejpeg.decode_jpeg(jpeg, "RGB"))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_png_of_any_kind_becomes_three_channels_of_a_byte(picture: Pixels, channels: int, depth: type) -> None:
    kinds = {1: picture[:, :, 0], 3: picture, 4: np.dstack([picture, np.full(picture.shape[:2], 7, np.uint8)])}
    source: NDArray[Any] = kinds[channels].astype(depth) * (257 if depth is np.uint16 else 1)
    order = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[channels]
    encoded = cv2.imencode(".png", source if order is None else cv2.cvtColor(source, order))[1].tobytes()
    expected = np.repeat(picture[:, :, :1], 3, 2) if channels == 1 else picture
    np.testing.assert_array_equal(decode_image(encoded), expected)


def test_grey_jpeg_is_spread_over_three_channels(picture: Pixels) -> None:
    grey = np.ascontiguousarray(picture[:, :, :1])
    decoded = decode_image(bytes(simplejpeg.encode_jpeg(grey, colorspace="GRAY", quality=100)))
    assert decoded.shape == picture.shape
    assert (decoded[:, :, 0] == decoded[:, :, 2]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_pictures_are_turned_as_exif_says(orientation: int, kind: str, jpeg: bytes, png: bytes) -> None:
    encoded = {"jpeg": jpeg, "png": png}[kind]
    stored = decode_image(encoded)

    upright = decode_image(with_orientation(encoded, orientation))

    picture = Image.fromarray(stored)
    picture.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(upright, np.asarray(ImageOps.exif_transpose(picture)))
    assert upright.flags.c_contiguous


@pytest.mark.parametrize("name", ["adobe", "plain", "ycck"])
def test_four_inks_become_the_colours_that_tensorflow_makes_of_them(
    name: str, decoded_by_tensorflow: Mapping[str, Pixels]
) -> None:
    np.testing.assert_array_equal(decode_image(cmyk_jpegs()[name]), decoded_by_tensorflow[name])
    turned = decode_image(with_orientation(cmyk_jpegs()[name], 6))
    np.testing.assert_array_equal(turned, decoded_by_tensorflow[name][::-1].swapaxes(0, 1))


def test_of_several_pictures_in_a_file_the_first_is_taken(jpeg: bytes, picture: Pixels) -> None:
    """Phones append previews, depth maps and films (MPO); what follows the end of the picture is not looked at."""
    expected = decode_image(jpeg)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "MPO", save_all=True, append_images=[Image.new("RGB", (32, 24))], quality=95)
    assert np.abs(decode_image(stream.getvalue()).astype(int) - expected).max() < 8
    for behind in (b"behind the end", jpeg, bytes(5000)):
        np.testing.assert_array_equal(decode_image(jpeg + behind), expected)


def test_progressive_jpeg_is_decoded_like_any(picture: Pixels) -> None:
    flags = [cv2.IMWRITE_JPEG_QUALITY, 95]
    baseline, progressive = (
        decode_image(cv2.imencode(".jpg", picture, [*flags, cv2.IMWRITE_JPEG_PROGRESSIVE, on])[1].tobytes())
        for on in (0, 1)
    )
    np.testing.assert_array_equal(progressive, baseline)


@pytest.mark.parametrize(
    ("encoded", "sentence"),
    [
        (LOSSLESS, "lossless or hierarchical JPEG"),
        (TWELVE_BITS, "JPEG of 12 bits a sample"),
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x18\0\x20\x01\x01\x11\0\xff\xda\0\x08" + bytes(6), "lossless"),  # JPEG-LS
    ],
    ids=["lossless", "12 bits", "JPEG-LS"],
)
def test_jpeg_that_training_cannot_read_is_refused(encoded: bytes, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        decode_image(encoded)
    assert refused.value.status == 400


def test_two_sizes_in_a_jpeg_are_damage(jpeg: bytes) -> None:
    """A header that our reader sees and the decoder does not would be a size that nobody judged."""
    frame = jpeg[jpeg.index(b"\xff\xc0") :][:19]
    small = frame[:5] + b"\0\1\0\1" + frame[9:]
    with pytest.raises(RequestError, match="damaged"):
        decode_image(jpeg[:2] + small + jpeg[2:])


def test_size_is_judged_by_the_header(jpeg: bytes, png: bytes) -> None:
    for encoded in (jpeg, png):
        decode_image(encoded, max_pixels=32 * 24)
        with pytest.raises(RequestError, match="32 x 24 pixels, more than 767") as refused:
            decode_image(encoded, max_pixels=32 * 24 - 1)
        assert refused.value.status == 413


def test_room_is_taken_for_what_decoding_needs_and_given_back(jpeg: bytes) -> None:
    memory = PictureMemory(10_000)
    with (
        decoded_image(jpeg, memory, seconds=0) as first,
        decoded_image(jpeg, memory, seconds=0),
        decoded_image(jpeg, memory, seconds=0),
        decoded_image(jpeg, memory, seconds=0),
    ):
        assert first.shape == (24, 32, 3)
        with pytest.raises(RequestError, match="pictures at work take") as refused, decoded_image(jpeg, memory, 0):
            pass  # a fifth of 2,304 bytes in 10,000
        assert refused.value.status == 429
    with pytest.raises(RequestError, match="damaged"), decoded_image(jpeg[:-80], memory, seconds=0):
        pass
    with decoded_image(jpeg, memory, seconds=0):
        pass


def test_a_picture_that_is_transposed_or_has_four_inks_needs_more(jpeg: bytes) -> None:
    def needed(encoded: bytes) -> float:
        header = read_header(encoded)
        return peak_bytes(header) / (header.width * header.height)

    assert [needed(with_orientation(jpeg, orientation)) for orientation in (1, 3, 5, 6)] == [3, 3, 6, 6]
    inks = cmyk_jpegs()["adobe"]
    assert [needed(inks), needed(with_orientation(inks, 8))] == [4, 7]


def test_a_jpeg_in_several_scans_needs_room_for_its_coefficients_while_it_is_decoded() -> None:
    def needed(mode: str, sampling: int, orientation: int = 1, beside: int = 0) -> float:
        stream = io.BytesIO()
        Image.new(mode, (64, 48)).save(stream, "JPEG", progressive=True, subsampling=sampling)
        header = read_header(with_orientation(stream.getvalue(), orientation))
        return peak_bytes(header, lambda height, width: beside * height * width) / (64 * 48)

    assert [needed("RGB", 0), needed("RGB", 2), needed("L", 0), needed("CMYK", 0)] == [9, 6, 5, 12]
    assert [needed("RGB", 0, orientation=6), needed("L", 0, orientation=6)] == [9, 6]
    assert [needed("RGB", 0, beside=3), needed("RGB", 0, beside=7)] == [9, 10]


@pytest.mark.parametrize("sides", [(10_000, 10_000), (2000, 1500)])
def test_scans_without_end_are_refused_before_they_are_decoded(sides: tuple[int, int]) -> None:
    """Of 100 megapixels each scan takes a core a moment, and 900 of them are 300 kB: the server would stand still."""
    scans = 2 + MAX_SCANNED_PIXELS // (sides[0] * sides[1])
    begun = time.process_time()
    with pytest.raises(RequestError, match=f"{scans} scans") as refused:
        decode_image(grey_in_scans(*sides, scans))
    assert refused.value.status == 400
    assert time.process_time() - begun < 1
    assert decode_image(grey_in_scans(16, 16, scans)).shape == (16, 16, 3)


def test_windows_need_more_beside_what_is_left_after_decoding(jpeg: bytes) -> None:
    def needed(encoded: bytes, share: float) -> float:
        header = read_header(encoded)
        return peak_bytes(header, lambda height, width: int(height * width * 3 * share)) / (
            header.width * header.height
        )

    assert needed(jpeg, 0.5) == 4.5
    assert needed(with_orientation(jpeg, 6), 0.5) == 6  # two copies are gone when windows are cut
    assert needed(cmyk_jpegs()["adobe"], 0.5) == 5.5
    assert needed(with_orientation(cmyk_jpegs()["adobe"], 6), 1) == 7
    sizes: list[tuple[int, int]] = []

    def beside(height: int, width: int) -> int:
        sizes.append((height, width))
        return 0

    peak_bytes(read_header(with_orientation(jpeg, 6)), beside)
    assert sizes == [(32, 24)], "the upright height and width"


@pytest.mark.parametrize("width", [31, 32, 61])
def test_pixels_lie_where_every_runtime_takes_them_without_a_copy(width: int) -> None:
    picture = np.zeros((23, width, 3), np.uint8)
    ink = io.BytesIO()
    Image.fromarray(picture).convert("CMYK").save(ink, "JPEG")
    for encoded in (simplejpeg.encode_jpeg(picture), cv2.imencode(".png", picture)[1].tobytes(), ink.getvalue()):
        for _ in range(5):
            pixels = decode_image(bytes(encoded))
            assert pixels.ctypes.data % ALIGNMENT == 0
            assert pixels.flags.c_contiguous
            assert pixels.flags.writeable


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_is_sent_is_pixels_or_a_refusal(data: st.DataObject) -> None:
    picture = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    png = cv2.imencode(".png", picture)[1].tobytes()
    encoded = bytearray(data.draw(st.sampled_from([bytes(simplejpeg.encode_jpeg(picture)), png])))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    encoded = encoded[: data.draw(st.integers(0, len(encoded)))]
    try:
        pixels = decode_image(bytes(encoded), max_pixels=2**16)
    except RequestError as error:
        assert error.status in (400, 413, 415)
    else:
        assert pixels.shape[2:] == (3,)
        assert pixels.dtype == np.uint8


def test_real_photographs_decode_as_tensorflow_s_accurate_transform_does(reference_decode: dict[Path, Pixels]) -> None:
    for path, expected in reference_decode.items():
        np.testing.assert_array_equal(decode_image(path.read_bytes()), expected)
