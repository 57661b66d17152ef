# SPDX-License-Identifier: Apache-2.0
"""Writing what stands beside a prepared data set's shards: label map, dataset.json and report."""

from __future__ import annotations

import json
from pathlib import Path

from training_src.data.examination import Examined
from training_src.data.label_map import write_label_map
from training_src.data.splits import SPLITS
from training_src.data.statistics import MOST_GROUPS, groups


def write_metadata(folder: Path, examined: Examined) -> None:
    """Write `label_map.pbtxt` and `dataset.json`; the groups of huge sets into `groups-<split>.txt`."""
    write_label_map(examined.label_map, folder / "label_map.pbtxt")
    description = examined.description()
    for number, split in enumerate(SPLITS):
        if len(description["groups"][split]) < MOST_GROUPS:
            continue
        file = folder / f"groups-{split}.txt"
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(f"{group}\n" for group in groups(examined.index, number))
        description["groups"][split] = []
        description.setdefault("groups_files", {})[split] = file.name
    _write(folder / "dataset.json", json.dumps(description, indent=2) + "\n")


def _write(file: Path, text: str) -> None:
    beside = file.with_name(file.name + ".partial")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def write_report_beside(
    folder: Path, examined: Examined, *, name: str = "report.html", architecture: str = "", config: Path | None = None
) -> None:
    """Write the report."""
