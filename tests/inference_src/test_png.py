# SPDX-License-Identifier: Apache-2.0
"""PNGs of every kind become the pixels that TensorFlow and OpenCV make of them; damage is noticed."""

import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from containers.contract.picture_header import png_chunks
from inference_src.png import BrokenPngError, decode_png
from tests.picture_files import CHANNELS, PNGS, PngFile, chunk


@pytest.mark.parametrize("file", PNGS, ids=lambda file: file.name)
def test_every_kind_is_decoded_as_tensorflow_and_opencv_decode_it(file: PngFile, decoded_by_tensorflow: Any) -> None:
    encoded = file.encoded()
    found = decode_png(encoded)

    np.testing.assert_array_equal(found, decoded_by_tensorflow[file.name])
    np.testing.assert_array_equal(found, _opencv(encoded))
    assert found.flags.c_contiguous


def test_what_else_stands_in_a_png_changes_nothing() -> None:
    file = PngFile(3, 8)
    plain = file.encoded()
    colours = next(plain[start:end] for kind, start, end in png_chunks(plain) if kind == b"PLTE")
    beside = [
        chunk(b"gAMA", b"\0\0\xb1\x8f"),
        chunk(b"tEXt", bytes(2000)),
        chunk(b"iCCP", b"a\0\0" + zlib.compress(b"b")),
    ]
    animated = [chunk(b"acTL", b"\0\0\0\1\0\0\0\0"), chunk(b"fcTL", bytes(26)), b"\0\0\0\1zTXtX\xff\xff\xff\xff"]
    crowded = plain[:33] + b"".join(beside + animated) + plain[33:] + b"and more"
    np.testing.assert_array_equal(decode_png(crowded), decode_png(plain))
    # A sample beyond the palette's end is black, and half a colour is none.
    short = plain.replace(chunk(b"PLTE", colours), chunk(b"PLTE", colours[:100]))
    expected = decode_png(plain)
    known = {tuple(colour) for colour in np.frombuffer(colours[:99], np.uint8).reshape(-1, 3).tolist()}
    for was, pixel in zip(expected.reshape(-1, 3).tolist(), decode_png(short).reshape(-1, 3).tolist(), strict=True):
        assert pixel in (was, [0, 0, 0])
        assert tuple(pixel) in known | {(0, 0, 0)}


def test_of_an_animation_the_still_picture_is_taken() -> None:
    stills = [np.full((24, 32, 3), level, np.uint8) for level in (10, 200)]
    animation = cv2.Animation()
    animation.frames, animation.durations = stills, [100, 100]
    encoded = bytes(cv2.imencodeanimation(".png", animation)[1])
    assert b"fdAT" in encoded
    np.testing.assert_array_equal(decode_png(encoded), stills[0])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95, 0.999])
def test_truncation_is_noticed(share: float) -> None:
    encoded = PngFile(2, 8).encoded()
    with pytest.raises(BrokenPngError):
        decode_png(encoded[: int(len(encoded) * share)])


@pytest.mark.parametrize("at", [18, 60, 500, -10])
def test_flipped_bit_is_noticed(at: int) -> None:
    encoded = bytearray(PngFile(2, 8).encoded())
    encoded[at] ^= 4
    with pytest.raises(BrokenPngError):
        decode_png(bytes(encoded))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": 1}, "header that the standard does not know"),
        ({"colour": 3, "depth": 16}, "header that the standard does not know"),
        ({"rows": 5}, "fewer pixels than its header says"),
        ({"palette": False, "colour": 3}, "no palette"),
        ({"filter": 5}, "row that cannot be decoded"),
        ({"stream": b"\x78\x9c" + bytes(40)}, "cannot be decompressed"),
        ({"stream": b""}, "fewer pixels"),
    ],
)
def test_what_is_no_png_by_the_standard_is_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BrokenPngError, match=sentence):
        decode_png(_made(**change))


def test_more_pixels_than_announced_are_left_alone() -> None:
    assert decode_png(_made(rows=90)).shape == (8, 8, 3)


def test_little_but_the_picture_is_in_memory(tmp_path: Path) -> None:
    """A picture of 64 MB costs less than 16 beside itself, whatever its kind, interlaced or not."""
    script = """
import resource, sys
from inference_src.png import decode_png
encoded = open(sys.argv[1], "rb").read()
decode_png(open(sys.argv[2], "rb").read())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = decode_png(encoded).nbytes
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before * 1024 - size)
"""
    for colour, interlaced in ((2, 0), (6, 0), (6, 1), (3, 1)):
        files = []
        for name, side in (("large", 4608), ("small", 64)):
            file = tmp_path / f"{name}-{colour}-{interlaced}.png"
            file.write_bytes(_plain(side, colour, interlaced))
            files.append(str(file))
        finished = subprocess.run(
            [sys.executable, "-c", script, *files], cwd=Path(__file__).parents[2], capture_output=True, check=True
        )
        assert int(finished.stdout) < 16 << 20


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_stands_in_a_stream_is_pixels_or_a_refusal(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(PNGS[:-3]))
    rows = data.draw(st.binary(min_size=0, max_size=4000))
    encoded = file.encoded()
    head = encoded[: encoded.index(b"IDAT") - 4]
    try:
        found = decode_png(head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    except BrokenPngError:
        return
    assert found.shape == (file.height, file.width, 3)


def _opencv(encoded: bytes) -> NDArray[np.uint8]:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), flags), np.uint8)


def _made(
    colour: int = 2,
    depth: int = 8,
    rows: int = 8,
    palette: bool = True,
    filter: int = 1,  # noqa: A002 - the standard's word
    stream: bytes | None = None,
) -> bytes:
    """A PNG of 8 x 8 pixels, all 7, with faults."""
    header = (8).to_bytes(4) * 2 + bytes([depth, colour, 0, 0, 0])
    length = 8 * CHANNELS.get(colour, 1) * max(depth // 8, 1)
    made = zlib.compress((bytes([filter]) + bytes([7]) * length) * rows) if stream is None else stream
    chunks = [chunk(b"IHDR", header), *([chunk(b"PLTE", bytes(300))] * palette), chunk(b"IDAT", made)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def _plain(side: int, colour: int, interlaced: int) -> bytes:
    """A PNG of one colour, a square."""
    header = side.to_bytes(4) * 2 + bytes([8, colour, 0, 0, interlaced])
    passes = ((1, 1),) if not interlaced else ((8, 8), (8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1))
    rows = (
        bytes([1]) + bytes(side // across * CHANNELS[colour]) for down, across in passes for _ in range(side // down)
    )
    chunks = [chunk(b"IHDR", header), chunk(b"PLTE", bytes(300)), chunk(b"IDAT", zlib.compress(b"".join(rows), 1))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")
