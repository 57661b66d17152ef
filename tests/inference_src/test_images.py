# SPDX-License-Identifier: Apache-2.0
"""Images are decoded to the pixels that training sees, and no sender is trusted."""

import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference_src.errors import RequestError
from inference_src.images import decode_image

Pixels = NDArray[np.uint8]


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


def test_exif_orientation_is_left_alone(jpeg: bytes, png: bytes) -> None:
    """Boxes refer to the pixels as stored, as in training."""
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    exif = b"Exif\x00\x00" + tiff
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    np.testing.assert_array_equal(decode_image(turned), decode_image(jpeg))
    chunk = b"eXIf" + tiff
    turned = png[:33] + len(tiff).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[33:]
    np.testing.assert_array_equal(decode_image(turned), decode_image(png))


def test_size_is_judged_by_the_header(jpeg: bytes, png: bytes) -> None:
    for encoded in (jpeg, png):
        decode_image(encoded, max_pixels=32 * 24)
        with pytest.raises(RequestError, match="32 x 24 pixels, more than 767") as refused:
            decode_image(encoded, max_pixels=32 * 24 - 1)
        assert refused.value.status == 413


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
