# SPDX-License-Identifier: Apache-2.0
"""Checking every image of a data set and its boxes: in all processes, with bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from containers.contract.cores import cores
from training_src.data.checks.findings import Findings
from training_src.data.checks.image import CheckedImage, ImageChecks
from training_src.data.dataset import Dataset, Entry, Fault, LabelledImage
from training_src.data.index import Index, Row, row
from training_src.data.processes import in_order
from training_src.data.records.example import encode_annotation, example_of
from training_src.data.statistics import short_hash

# Entries that go to a process at once: enough to be worth the way, few enough to keep all processes busy to the end.
_BATCH = 32

Progress = Callable[[int, int | None], None]
"""Called with the number of images done, and their total once it is known."""


def gather(
    dataset: Dataset,
    checks: ImageChecks,
    index: Index,
    findings: Findings,
    *,
    records: bool,
    elsewhere: Collection[str] = (),
    processes: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Check every image and put the sound ones into the index, what is wrong into the findings.

    Args:
        dataset: As a reader found it.
        checks: How images are checked.
        index: Takes a row an image.
        findings: Takes the faults.
        records: Whether TFRecords will be written: then the index keeps the images' encoded annotations too.
        elsewhere: Checks whose faults are only counted: what they miss is on other machines.
        processes: How many; None: as many as there are cores.
        progress: See there.

    Returns:
        The number of faults that were only counted.
    """
    done = missing = 0
    worker = _Worker(checks, records, frozenset(elsewhere))
    for checked in in_order(worker, _batches(dataset.entries()), processes or cores()):
        index.add(checked.rows)
        for faults, labelled in checked.faults:
            findings.add(faults, labelled)
        done += checked.images
        missing += checked.missing
        if progress:
            progress(done, None)
    index.save()
    if progress:
        progress(done, done)
    return missing


def _batches(entries: Iterable[Entry]) -> Iterator[Sequence[Entry]]:
    entries = iter(entries)
    while batch := list(islice(entries, _BATCH)):
        yield batch


@dataclass
class _CheckedBatch:
    """What came of consecutive entries.

    Attributes:
        images: How many there were, sound or not.
        missing: Faults that were only counted.
        rows: Of the sound images.
        faults: With the images that they are of.
    """

    images: int = 0
    missing: int = 0
    rows: list[Row] = field(default_factory=list)
    faults: list[tuple[Sequence[Fault], LabelledImage | None]] = field(default_factory=list)


@dataclass(frozen=True)
class _Worker:
    """Checks a batch, in a process of its own."""

    checks: ImageChecks
    records: bool
    elsewhere: frozenset[str]

    def __call__(self, batch: Sequence[Entry]) -> _CheckedBatch:
        checked = _CheckedBatch()
        for entry in batch:
            if isinstance(entry, LabelledImage):
                self._check(entry, checked)
            elif entry.check in self.elsewhere:
                checked.missing += 1
            elif judged := self.checks.policy.judge(entry):
                checked.faults.append(([judged], None))
        return checked

    def _check(self, labelled: LabelledImage, checked: _CheckedBatch) -> None:
        outcome = self.checks.examine(labelled)
        checked.images += 1
        if outcome.faults:
            checked.faults.append((outcome.faults, outcome.shown or labelled))
        if image := outcome.image:
            checked.rows.append(row(image, len(outcome.encoded), _annotation(image) if self.records else None))


def _annotation(image: CheckedImage) -> bytes:
    """The image's record without its bytes, as it will be written."""
    labelled = replace(image.labelled, attributes=image.columns)
    return encode_annotation(example_of(labelled, image.format, group_hash=short_hash(image.group)))
