# SPDX-License-Identifier: Apache-2.0
"""TFRecord shards are read as TensorFlow writes them, and damage is noticed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inference_src.errors import RecordError
from inference_src.records import read_images, read_records


@pytest.fixture
def shard(tmp_path: Path, write_shard: Callable[..., None]) -> Path:
    path = tmp_path / "test-00000-of-00001.tfrecord"
    write_shard(path, [("a", b"first"), ("b", b"s" * 100_000)])
    return path


def test_images_come_in_order_with_their_source_ids(shard: Path, write_shard: Callable[..., None]) -> None:
    write_shard(shard.with_name("test-00000-of-00000.tfrecord"), [("z", b"earlier")])
    found = [(image.source_id, len(image.encoded)) for image in read_images(shard.parent)]
    assert found == [("z", 7), ("a", 5), ("b", 100_000)]


def test_what_tensorflow_writes_is_read(tensorflow_shard: Path) -> None:
    images = list(read_images(tensorflow_shard.parent))
    assert [(image.source_id, image.encoded) for image in images] == [("7", b"\xff\xd8"), ("b.png", bytes(300))]


@pytest.mark.parametrize("cut", [5, 12, 40, 100_000])
def test_a_shard_that_ends_early_is_named(shard: Path, cut: int) -> None:
    shard.write_bytes(shard.read_bytes()[:-cut])
    with pytest.raises(RecordError, match=r"00001\.tfrecord: ends in the middle"):
        list(read_images(shard.parent))


def test_a_flipped_bit_in_a_length_is_noticed(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(RecordError, match="damaged near byte 0"):
        list(read_records(shard))


def test_a_record_that_is_no_example_is_numbered(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[12:20] = b"\xff" * 8
    shard.write_bytes(content)
    with pytest.raises(RecordError, match=r"record 0 is no tf\.Example"):
        list(read_images(shard.parent))


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"holds no \*.tfrecord"):
        list(read_images(tmp_path))
