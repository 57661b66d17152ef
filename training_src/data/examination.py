# SPDX-License-Identifier: Apache-2.0
"""A data set from its folder to its splits: read, checked, judged and counted, but not written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from training_src.data.checks.findings import Findings
from training_src.data.checks.image import ImageChecks
from training_src.data.checks.policy import DataPolicy, read_policy_of
from training_src.data.dataset import Fault
from training_src.data.dataset_checks import check_set, give_splits
from training_src.data.formats import read_dataset
from training_src.data.index import Index
from training_src.data.label_map import LabelMap, read_label_map
from training_src.data.parallel import Progress, gather
from training_src.data.splits import SPLITS
from training_src.data.statistics import Tally, describe, tally


@dataclass(frozen=True)
class Examined:
    """A data set that was read, checked and split, but not written; use it in a `with`.

    Attributes:
        format: The layout's name.
        label_map: Its classes.
        policy: What it was checked by.
        index: Its sound images with their splits.
        findings: What is wrong with it; with any error nothing may be written.
        tally: Its counts; those of one machine where several share the work.
    """

    format: str
    label_map: LabelMap
    policy: DataPolicy
    index: Index
    findings: Findings
    tally: Tally
    _index_folder: ExitStack

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._index_folder.close()

    @property
    def images(self) -> Mapping[str, int]:
        """Number of images by split."""
        return dict(zip(SPLITS, self.tally.images.tolist(), strict=True))

    @cached_property
    def description(self) -> dict[str, Any]:
        """The content of `dataset.json`."""
        return describe(
            self.index,
            self.tally,
            self.label_map,
            self.findings,
            layout=self.format,
            decode_check=self.policy.decode_check,
        )


def examine(
    folder: Path,
    *,
    config: Path | None = None,
    label_map: Path | None = None,
    format: str | None = None,  # noqa: A002 - as the command's option
    policy: DataPolicy | None = None,
    records: bool = False,
    whole: bool = True,
    work: Path | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Examined:
    """Read, check and split a data set.

    Args:
        folder: Of the data set.
        config: The user's pipeline.config, whose `num_classes` must reach the greatest label id.
        label_map: A label_map.pbtxt to use instead of the folder's own.
        format: The layout; None: the folder shows it.
        policy: None: the folder's own, or the defaults.
        records: Whether shards will be written.
        whole: Whether this is all of the data set. If not, images that are missing are on other machines, and
            `join` judges the whole.
        work: A folder for temporary files; None: the system's.
        processes, progress: See `gather`.

    Raises:
        DataError: The folder cannot be read at all; single faults are in the result instead.
        ConfigurationError: The policy or pipeline.config is wrong.
    """
    policy = policy or read_policy_of(folder)
    dataset = read_dataset(folder, read_label_map(label_map) if label_map else None, format)
    with ExitStack() as opened:
        place = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix=".mapgate-", dir=work)))
        index, findings = opened.enter_context(Index(place / "index.sqlite")), Findings()
        findings.add(policy.judged(Fault(folder.name, None, "layout", notice) for notice in dataset.notices))
        missing = gather(
            dataset,
            ImageChecks(policy, policy.decode_check, place),
            index,
            findings,
            records=records,
            elsewhere=() if whole else ("missing_image", "missing_shard", "unlisted"),
            processes=processes,
            progress=progress,
        )
        index.set_fact("name", folder.name)
        index.set_fact("missing", str(missing))
        index.set_fact("examined", str(index.number("SELECT count(*) FROM images")))
        give_splits(index, policy, folder.name, findings)
        counted = tally(index, dataset.label_map)
        if whole:
            check_set(index, counted, dataset.label_map, policy, findings, name=folder.name, config=config)
        return Examined(dataset.format, dataset.label_map, policy, index, findings, counted, opened.pop_all())
