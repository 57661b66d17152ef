# SPDX-License-Identifier: Apache-2.0
"""Shards of a checked data set: all of them, or none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from training_src.data.examination import Examined, examine
from training_src.data.records.example import read_examples
from training_src.data.splits import SPLITS, Split
from training_src.data.writers.shards import write_shards


def folders(place: Path) -> dict[Split, Path]:
    return {split: place / split for split in SPLITS}


def checked(folder: Path) -> Examined:
    return examine(folder, records=True, processes=1)


def test_images_are_dealt_to_four_shards_and_none_is_empty(builtin_folder: Path, tmp_path: Path) -> None:
    told: list[int] = []

    with checked(builtin_folder) as examined:
        write_shards(examined.index, folders(tmp_path), processes=1, written=told.append)

    shards = sorted(file.name for file in tmp_path.glob("*/*.tfrecord"))
    assert Counter(name.split("-")[0] for name in shards) == {"train": 4, "validation": 2, "test": 2}
    assert shards[0] == "test-00000-of-00002.tfrecord"
    assert sum(told) == 9
    (first, *_) = read_examples(tmp_path / "train")
    assert (first.source_id, first.width, first.height) == ("train/images/0.jpg", 64, 48)
    assert first.encoded == (builtin_folder / first.source_id).read_bytes()
    assert first.boxes.tolist() == [pytest.approx([6 / 48, 4 / 64, 30 / 48, 32 / 64])]
    assert (first.labels.tolist(), first.names) == ([1], ("vehicle",))


def test_image_that_shrank_since_it_was_checked_leaves_no_shard(builtin_folder: Path, tmp_path: Path) -> None:
    file = builtin_folder / "test/images/1.jpg"

    with checked(builtin_folder) as examined:
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(OSError, match=r"test/images/1\.jpg changed while it was prepared"):
            write_shards(examined.index, folders(tmp_path), processes=1)

    assert not list(tmp_path.glob("t*/*"))
