# SPDX-License-Identifier: Apache-2.0
"""TFRecords are read as they were written, and damage is noticed."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.contract.errors import DataError
from containers.contract.tfrecord import (
    MAX_RECORD_BYTES,
    masked_crc32c,
    read_records,
    record_header,
    shards,
    write_record,
)


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def test_checksums_are_those_of_rfc_3720_masked() -> None:
    assert masked_crc32c(b"123456789") == _masked(0xE3069283)
    assert masked_crc32c(bytes(32)) == _masked(0x8A9136AA)
    assert masked_crc32c(b"\xff" * 32) == _masked(0x62A8AB43)
    assert masked_crc32c(bytes(range(32))) == _masked(0x46DD794E)


@given(st.binary(max_size=3000))
def test_checksum_equals_the_bitwise_definition(data: bytes) -> None:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)

    assert masked_crc32c(data) == _masked(state ^ 0xFFFFFFFF)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two records."""
    stream = io.BytesIO()
    write_record(stream, b"first" * 40)
    write_record(stream, b"second" * 40)
    file = tmp_path / "a.tfrecord"
    file.write_bytes(stream.getvalue())
    return file


def test_records_come_with_their_places(file: Path) -> None:
    assert [(span.read(), data) for span, data in read_records(file)] == [
        (b"first" * 40, b"first" * 40),
        (b"second" * 40, b"second" * 40),
    ]


@pytest.mark.parametrize("cut", [2, 30, 245, 255])
def test_a_file_that_ends_early_is_named(file: Path, cut: int) -> None:
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"a\.tfrecord: record 1 is cut off"):
        list(read_records(file))


def test_a_flipped_bit_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for place, said in ((1, "has a damaged header"), (9, "has a damaged header"), (50, "is damaged")):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"a\.tfrecord: record 0 {said}"):
            list(read_records(file))
    assert len(list(read_records(file, checked=False))) == 2


def test_what_is_no_tfrecord_is_said(file: Path) -> None:
    file.write_bytes(b"<html>not here</html>")
    with pytest.raises(DataError, match=r"a\.tfrecord: record 0 has a damaged header"):
        list(read_records(file))


def test_a_record_that_no_image_fills_is_not_taken_into_memory(tmp_path: Path) -> None:
    file = tmp_path / "hole.tfrecord"
    with file.open("wb") as stream:
        stream.write(record_header(MAX_RECORD_BYTES + 1))
        stream.truncate(2 * MAX_RECORD_BYTES)
    with pytest.raises(DataError, match=f"record 0 has {MAX_RECORD_BYTES + 1} bytes, more than"):
        list(read_records(file))


def test_shards_come_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \*\.tfrecord"):
        shards(tmp_path)
    for name in ("b.tfrecord", "a.tfrecord", "c.json"):
        (tmp_path / name).touch()
    assert [path.name for path in shards(tmp_path)] == ["a.tfrecord", "b.tfrecord"]
