# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from containers.contract.tfrecord import write_record
from training_src.data.records.shard_file import ShardFile


def test_records_of_files_are_those_of_their_bytes(tmp_path: Path) -> None:
    """Sizes below, at and far above the buffer's first, and images that lie within larger files."""
    sizes = [0, 1, 90_000, 1 << 20, 3_500_000, 7, 2_000_000]
    random = np.random.default_rng(0)
    images = [random.bytes(size) for size in sizes]
    with (tmp_path / "expected").open("wb") as expected, (tmp_path / "shard").open("wb") as stream:
        shard = ShardFile(stream.fileno())
        for number, image in enumerate(images):
            head, tail = b"h" * number, b"t" * (600 - number)
            file = tmp_path / f"{number}.jpg"
            file.write_bytes(b"before" + image + b"behind")
            shard.append(head, str(file), len(b"before"), len(image), tail)
            write_record(expected, head + image + tail)

    assert (tmp_path / "shard").read_bytes() == (tmp_path / "expected").read_bytes()


def test_an_image_that_shrank_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"short")
    file = os.open(tmp_path / "shard", os.O_WRONLY | os.O_CREAT)
    try:
        with pytest.raises(OSError, match="changed while it was prepared"):
            ShardFile(file).append(b"head", str(tmp_path / "a.jpg"), 0, 6, b"tail")
    finally:
        os.close(file)
