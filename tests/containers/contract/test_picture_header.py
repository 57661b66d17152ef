# SPDX-License-Identifier: Apache-2.0
"""What headers say, and that no sender can make reading one slow."""

import io
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from containers.contract.picture_header import BrokenHeaderError, count_scans, png_chunks, read_header


def encoded(suffix: str = ".jpg", flags: tuple[int, ...] = ()) -> bytes:
    return bytes(cv2.imencode(suffix, np.full((48, 64, 3), 77, np.uint8), flags)[1])


def saved(kind: str, mode: str = "RGB", orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.new(mode, (64, 48)).save(stream, kind, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_header_tells_format_size_and_orientation(kind: str, orientation: int) -> None:
    header = read_header(saved(kind, orientation=orientation))

    assert (header.format, header.width, header.height, header.orientation) == (kind, 64, 48, orientation)
    assert (header.depth, header.channels) == (8, 3)


def test_header_tells_a_jpeg_s_colours() -> None:
    cmyk = read_header(saved("jpeg", "CMYK"))
    assert (cmyk.channels, cmyk.adobe) == (4, True)
    assert not read_header(encoded()).adobe


def scanned(sampling: int, size: tuple[int, int] = (64, 48), progressive: bool = True, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, "JPEG", subsampling=sampling, progressive=progressive)
    return stream.getvalue()


def test_header_tells_what_decoding_holds_of_a_jpeg_in_several_scans() -> None:
    """Two bytes a coefficient, as many as there are samples, of whole blocks of 8 by 8."""
    pixels = 64 * 48
    assert [read_header(scanned(sampling)).coefficient_bytes for sampling in (0, 1, 2)] == [
        pixels * 6,
        pixels * 4,
        pixels * 3,
    ]
    assert read_header(scanned(0, mode="L")).coefficient_bytes == pixels * 2
    assert read_header(scanned(0, mode="CMYK")).coefficient_bytes == pixels * 8
    assert read_header(scanned(2, (1, 1))).coefficient_bytes == (4 + 1 + 1) * 64 * 2
    assert read_header(scanned(2, (17, 33))).coefficient_bytes == (4 * 6 + 2 * 3 + 2 * 3) * 64 * 2
    plain = scanned(0, progressive=False)
    assert read_header(plain).coefficient_bytes == 0
    scan = plain.index(b"\xff\xda")
    assert read_header(plain[: scan + 4] + b"\1" + plain[scan + 5 :]).coefficient_bytes == pixels * 6


def test_scans_are_counted_to_the_picture_s_end() -> None:
    jpeg = scanned(2)
    assert count_scans(jpeg) == 10  # https://github.com/libjpeg-turbo/libjpeg-turbo/blob/main/doc/libjpeg.txt
    assert count_scans(scanned(0, mode="L")) == 6
    assert count_scans(scanned(0, progressive=False)) == 1
    preview = b"\xff\xe1" + struct.pack(">H", 2 + len(jpeg)) + jpeg
    assert count_scans(jpeg[:2] + preview + jpeg[2:] + jpeg + b"\xff\xda" * 9) == 10
    assert count_scans(jpeg[: len(jpeg) // 2]) < 10


@pytest.mark.parametrize("part", [b"\xff\xe0\0\2", b"\xff\xda\0\2", b"\xff\x01", b"\xff\0", b"\xff\xd0", b"\xff"])
def test_twenty_megabytes_behind_a_scan_are_counted_or_refused_for_less_than_a_decoding(part: bytes) -> None:
    hostile = scanned(2)[:-2] + part * (20_000_000 // len(part))
    begun = time.process_time()
    for _ in range(20):
        zlib.crc32(hostile)
    reading = time.process_time() - begun
    begun = time.process_time()
    try:
        assert count_scans(hostile) == 10
    except BrokenHeaderError as error:
        assert "more than 65536 JPEG segments" in str(error)
    assert time.process_time() - begun < max(reading, 0.02) * 10


def test_jpeg_that_training_and_server_cannot_decode_is_refused_by_its_header() -> None:
    jpeg, frame = encoded(), encoded().index(b"\xff\xc0")
    for marker, words in ((0xC3, "lossless"), (0xC5, "hierarchical"), (0xF7, "0xf7")):
        with pytest.raises(BrokenHeaderError, match=words):
            read_header(jpeg[: frame + 1] + bytes([marker]) + jpeg[frame + 2 :])
    with pytest.raises(BrokenHeaderError, match="12 bits a sample"):
        read_header(jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :])
    for flags in ((), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)):
        assert read_header(encoded(flags=flags)).width == 64


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("P", 1)])
def test_header_tells_a_png_s_channels(mode: str, channels: int) -> None:
    assert read_header(saved("png", mode)).channels == channels


def test_orientation_behind_the_pixels_of_a_png_counts() -> None:
    png = saved("png", orientation=6)
    (start, end), *_ = [(start, end) for kind, start, end in png_chunks(png) if kind == b"eXIf"]
    chunk = png[start - 8 : end + 4]
    moved = png.replace(chunk, b"")
    assert read_header(moved[:-12] + chunk + moved[-12:]).orientation == 6


def test_first_exif_of_a_jpeg_counts_and_other_segments_do_not() -> None:
    turned = saved("jpeg", orientation=6)
    plain = encoded()
    start = turned.index(b"\xff\xe1")
    exif = turned[start : start + 2 + struct.unpack_from(">H", turned, start + 2)[0]]
    other = exif.replace(b"\6", b"\3")
    xmp = b"\xff\xe1" + struct.pack(">H", 30) + b"http://ns.adobe.com/xap/1.0/"
    assert other != exif
    assert read_header(plain[:2] + xmp + exif + other + plain[2:]).orientation == 6
    # Bytes of filling before a marker, and what is no marker, are skipped as decoders skip them.
    assert read_header(plain[:2] + b"\xff\xff\xff" + exif + b"\x07\xff\0" + plain[2:]).orientation == 6


def test_thumbnail_s_size_is_not_the_picture_s() -> None:
    thumbnail = encoded()
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    picture = saved("jpeg")
    header = read_header(picture[:2] + segment + picture[2:])
    assert (header.width, header.height) == (64, 48)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"GIF89a", "neither JPEG nor PNG"),
        (b"\xff\xd8\xff", "header is cut off"),
        (encoded()[:40], "header is cut off"),
        (b"\xff\xd8\xff\xd9", "no frame header"),
        (encoded(".png")[:20], "header is cut off"),
        (b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBB", 13, b"IHDR", 0, 5, 8, 2), "states no size"),
    ],
)
def test_broken_headers_are_named(data: bytes, sentence: str) -> None:
    with pytest.raises(BrokenHeaderError, match=sentence):
        read_header(data)


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_is_sent_is_a_header_or_a_refusal(data: st.DataObject) -> None:
    changed = bytearray(data.draw(st.sampled_from([saved("jpeg", orientation=6), saved("png", orientation=6)])))
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        header = read_header(bytes(changed[: data.draw(st.integers(0, len(changed)))]))
    except BrokenHeaderError:
        return
    assert header.width > 0 and header.height > 0 and 1 <= header.orientation <= 8


@pytest.mark.parametrize(
    "whole",
    [
        saved("jpeg", orientation=6),
        saved("jpeg", "CMYK"),
        encoded(flags=(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        saved("png", orientation=6),
    ],
    ids=["jpeg", "four inks", "several scans", "png"],
)
def test_no_byte_of_a_header_makes_it_anything_but_a_header_or_a_refusal(whole: bytes) -> None:
    for place, byte in enumerate(whole):
        for other in {0, 1, 127, 128, 255, byte ^ 1, byte ^ 16, byte ^ 128}:
            try:
                header = read_header(whole[:place] + bytes([other]) + whole[place + 1 :])
            except BrokenHeaderError:
                continue
            assert min(header.width, header.height, header.channels) > 0 and 1 <= header.orientation <= 8


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xd8" + b"\xff" * (20 << 20),
        b"\xff\xd8" + b"\xff\xe0\0\2" * (5 << 20),
        b"\xff\xd8" + b"\xff\0" * (10 << 20),
        b"\xff\xd8" + b"\xff\xd0" * (10 << 20),
        encoded(".png")[:33] + (struct.pack(">I4sI", 0, b"teXt", zlib.crc32(b"teXt"))) * (2 << 20),
        b"\xff\xd8" + b"\xff\xe1\xff\xff" + b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(1 << 16),
    ],
    ids=["filling", "segments", "zeros", "restarts", "chunks", "entries"],
)
def test_twenty_megabytes_of_nothing_are_refused_for_less_than_a_decoding(hostile: bytes) -> None:
    """Measured against reading the same bytes once, since machines differ."""
    begun = time.process_time()
    for _ in range(20):
        zlib.crc32(hostile)
    reading = time.process_time() - begun
    begun = time.process_time()
    with pytest.raises(BrokenHeaderError):
        read_header(hostile)
    assert time.process_time() - begun < max(reading, 0.02) * 10
