# SPDX-License-Identifier: Apache-2.0
"""Writing prepared splits as TFRecord shards, a process a shard."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from containers.contract.cores import cores
from containers.contract.tfrecord import write_record
from training_src.data.dataset import Encoded
from training_src.data.index import Index
from training_src.data.processes import in_order
from training_src.data.records.example import join_image
from training_src.data.splits import SPLITS, Split

# Each split has so many shards, or as many as it has images; more where they would grow beyond a size.
SHARDS = 4
_SHARD_BYTES = 256 << 20

_PLAN = """
CREATE TABLE plan (split INTEGER, shard INTEGER, place INTEGER, number INTEGER, PRIMARY KEY (split, shard, place))
WITHOUT ROWID
"""


def write_shards(
    index: Index,
    folders: Mapping[Split, Path],
    *,
    host: str = "",
    processes: int | None = None,
    written: Callable[[int], None] | None = None,
) -> None:
    """Write `<split>-00000-of-00004.tfrecord` and so on beside, and rename them once all of all splits are whole.

    Images are dealt to the shards in turn, by their source ids, so that each shard is a sample of the split.

    Args:
        index: With every image's split and record.
        folders: One a split.
        host: A part of the names where several machines write into one place: `train-algo-2-00000-of-...`.
        processes: How many; None: as many as there are cores.
        written: Called with the number of images of each shard that is whole.
    """
    index.execute("DROP TABLE IF EXISTS plan")
    index.execute(_PLAN)
    tasks = [task for number, split in enumerate(SPLITS) for task in _tasks(index, number, split, folders[split], host)]
    index.save()
    partial = [_partial(task.shard) for task in tasks]
    try:
        for count in in_order(write_shard, tasks, min(processes or cores(), len(tasks))):
            if written:
                written(count)
        for file, task in zip(partial, tasks, strict=True):
            file.replace(task.shard)
    finally:
        for file in partial:
            file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard to write.

    Attributes:
        index: The index' file, whose table `plan` says what belongs into which shard.
        shard: The file to write.
        split: Index into `splits.SPLITS`.
        number: Of the shard in its split.
    """

    index: Path
    shard: Path
    split: int
    number: int


def write_shard(task: ShardTask) -> int:
    """Write a shard beside its place; returns the number of its images."""
    query = (
        "SELECT path, start, length, records.annotation FROM plan JOIN images USING (number) "
        "JOIN records USING (number) WHERE plan.split = ? AND shard = ? ORDER BY place"
    )
    images = 0
    with (
        closing(sqlite3.connect(f"file:{task.index}?mode=ro", uri=True)) as connection,
        _partial(task.shard).open("wb") as stream,
    ):
        for path, start, length, annotation in connection.execute(query, (task.split, task.number)):
            encoded = Encoded(path, start, length).load()
            if len(encoded) < length:
                raise OSError(f"{path} changed while it was prepared")
            write_record(stream, join_image(encoded, annotation))
            images += 1
    return images


def _tasks(index: Index, number: int, split: Split, folder: Path, host: str) -> list[ShardTask]:
    images, size = next(index.rows("SELECT count(*), total(length) FROM images WHERE split = ?", number))
    if not images:
        return []
    count = min(images, max(SHARDS, -int(-size // _SHARD_BYTES)))
    index.execute(
        "INSERT INTO plan SELECT split, place % ?, place, number FROM (SELECT split, number, "
        "row_number() OVER (ORDER BY source_id, number) - 1 AS place FROM images WHERE split = ?)",
        count,
        number,
    )
    name = f"{split}-{host}" if host else split
    folder.mkdir(parents=True, exist_ok=True)
    return [
        ShardTask(index.file, folder / f"{name}-{shard:05d}-of-{count:05d}.tfrecord", number, shard)
        for shard in range(count)
    ]


def _partial(shard: Path) -> Path:
    return shard.with_name(shard.name + ".partial")
