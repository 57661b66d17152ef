# SPDX-License-Identifier: Apache-2.0
"""A split is read as TensorFlow writes it, and damage is noticed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from containers.contract.errors import DataError
from containers.contract.tf_example import Feature
from containers.contract.tfrecord import write_record
from inference_src.records import read_images
from training_src.data.records.protobuf import encode_example


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


def test_a_number_for_a_name_is_a_name(tmp_path: Path) -> None:
    """As the training image reads it, which compares the names of what was measured with those of the test set."""
    features = {"image/encoded": [b"jpeg"], "image/filename": [b"a.jpg"]}
    named: list[dict[str, Feature]] = [{**features, "image/source_id": np.array([17], np.int64)}, {**features}]
    named.append({"image/encoded": [b"jpeg"]})
    with (tmp_path / "a.tfrecord").open("wb") as stream:
        for example in named:
            write_record(stream, encode_example(example))
    assert [image.source_id for image in read_images(tmp_path)] == ["17", "a.jpg", "a.tfrecord:2"]


def test_a_flipped_bit_in_an_image_is_noticed(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match="record 1 is damaged"):
        list(read_images(shard.parent))


@pytest.mark.parametrize("record", [b"\xff" * 8, b"", encode_example({"image/encoded": []})])
def test_a_record_that_is_no_example_is_numbered(shard: Path, record: bytes) -> None:
    with shard.open("wb") as stream:
        write_record(stream, record)
    with pytest.raises(DataError, match=r"record 0 is no tf\.Example"):
        list(read_images(shard.parent))


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \*.tfrecord"):
        list(read_images(tmp_path))
