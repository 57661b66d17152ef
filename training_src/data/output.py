# SPDX-License-Identifier: Apache-2.0
"""A prepared data set on disk: its shards, and beside them what stands in the folder `metadata`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from training_src.data.examination import Examined
from training_src.data.metadata import write_metadata
from training_src.data.splits import SPLITS
from training_src.data.writers.shards import write_shards


def write_dataset(
    examined: Examined,
    outputs: Mapping[str, Path],
    *,
    architecture: str = "",
    config: Path | None = None,
    written: Callable[[int], None] | None = None,
) -> None:
    """Write the shards, and then what stands beside them; `dataset.json` comes last.

    Args:
        examined: A data set without errors.
        outputs: A folder for each split, and one for `metadata`, which exists.
        architecture, config: See `metadata.write_metadata`.
        written: See `shards.write_shards`.
    """
    write_shards(examined.index, {split: outputs[split] for split in SPLITS}, written=written)
    write_metadata(outputs["metadata"], examined, architecture=architecture, config=config)
