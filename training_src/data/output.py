# SPDX-License-Identifier: Apache-2.0
"""A prepared data set on disk: its shards, and beside them what stands in the folder `metadata`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training_src.data.examination import Examined
from training_src.data.metadata import write_companions, write_description
from training_src.data.records.shards import write_shards
from training_src.data.splits import SPLITS


def write_dataset(
    examined: Examined,
    outputs: Mapping[str, Path],
    *,
    architecture: str = "",
    config: Path | None = None,
    written: Callable[[int], None] | None = None,
) -> None:
    """Write the shards, and draw the report while other processes write; `dataset.json` comes last.

    Args:
        examined: A data set without errors.
        outputs: A folder for each split, and one for `metadata`, which exists.
        architecture, config: See `metadata.write_metadata`.
        written: See `shards.write_shards`.
    """
    metadata = outputs["metadata"]
    description: dict[str, Any] = {}

    def draw() -> None:
        description.update(write_companions(metadata, examined, architecture=architecture, config=config))

    write_shards(examined.index, {split: outputs[split] for split in SPLITS}, written=written, meanwhile=draw)
    write_description(metadata, description)
