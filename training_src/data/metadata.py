# SPDX-License-Identifier: Apache-2.0
"""Writing what stands beside a prepared data set's shards: label map, dataset.json and report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from containers.contract.files import write_whole
from training_src.data.collection import collect, report_content
from training_src.data.examination import Examined
from training_src.data.label_map import write_label_map
from training_src.data.report.figures import figures
from training_src.data.report.page import render
from training_src.data.splits import SPLITS
from training_src.data.statistics import MOST_GROUPS, groups


def write_metadata(folder: Path, examined: Examined, *, architecture: str = "", config: Path | None = None) -> None:
    """Write `label_map.pbtxt`, `report.html` and, last, `dataset.json`; the groups of huge sets into files.

    Args:
        folder: For the files.
        examined: A data set without errors.
        architecture, config: Of the detector whose anchors the report compares with the boxes.
    """
    description = write_report_of(folder / "report.html", examined, architecture=architecture, config=config)
    write_label_map(examined.label_map, folder / "label_map.pbtxt")
    for number, split in enumerate(SPLITS):
        if len(description["groups"][split]) < MOST_GROUPS:
            continue
        file = folder / f"groups-{split}.txt"
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(f"{group}\n" for group in groups(examined.index, number))
        description["groups"] = {**description["groups"], split: []}
        description.setdefault("groups_files", {})[split] = file.name
    write_whole(folder / "dataset.json", json.dumps(description, indent=2) + "\n")


def write_report_of(
    file: Path, examined: Examined, *, architecture: str = "", config: Path | None = None
) -> dict[str, Any]:
    """Write the report alone, also of a data set with errors; returns its description with the report's figures."""
    collected = collect(examined, architecture=architecture, config=config)
    description = {**examined.description, **figures(collected)}
    write_whole(file, render(report_content(examined, collected, description)))
    return description
