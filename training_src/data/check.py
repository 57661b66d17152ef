# SPDX-License-Identifier: Apache-2.0
"""Checking every image of a data set and its boxes: in all processes, with bounded memory."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training_src.data.check_image import CheckedImage, ImageChecks
from training_src.data.dataset import Box, Dataset, Encoded, Entry, Fault, LabelledImage
from training_src.data.index import Index, Row, row
from training_src.data.ledger import Ledger
from training_src.data.processes import cores, in_order
from training_src.data.record_frame import frame

# Entries that go to a process at once.
_BATCH = 32

Progress = Callable[[int, int | None], None]
"""Called with the number of images done, and their total once it is known."""


@dataclass(frozen=True)
class Verdict:
    """All images that are sound, and everything that is wrong with the others."""

    images: tuple[CheckedImage, ...]
    faults: tuple[Fault, ...]


def check(dataset: Dataset, checks: ImageChecks) -> Verdict:
    """Check the images of a data set that fits into memory, in this process."""
    images: list[CheckedImage] = []
    faults: list[Fault] = []
    for entry in dataset.entries():
        if isinstance(entry, Fault):
            faults += filter(None, [checks.policy.judge(entry)])
            continue
        outcome = checks.examine(entry)
        faults += outcome.faults
        images += [outcome.image] if outcome.image else []
    return Verdict(tuple(images), tuple(faults))


def gather(
    dataset: Dataset,
    checks: ImageChecks,
    index: Index,
    ledger: Ledger,
    *,
    records: bool,
    elsewhere: Collection[str] = (),
    processes: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Check every image and put the sound ones into the index, what is wrong into the ledger.

    Args:
        dataset: as a reader found it.
        checks: how images are checked.
        index: takes a row an image.
        ledger: takes the faults.
        records: whether to make the heads and tails of the TFRecords too.
        elsewhere: checks whose faults are only counted: what they miss is on other machines.
        processes: how many; None: as many as there are cores.
        progress: see there.

    Returns:
        The number of faults that were only counted.
    """
    done = missing = 0
    worker = _Worker(checks, records, frozenset(elsewhere))
    for result in in_order(worker, _batches(dataset.entries()), processes or cores()):
        index.add(result.rows, result.records)
        for faults, labelled in result.faults:
            ledger.add(faults, labelled)
        done += result.images
        missing += result.missing
        if progress:
            progress(done, None)
    index.save()
    if progress:
        progress(done, done)
    return missing


@dataclass(frozen=True, slots=True)
class _Batch:
    """Consecutive entries; the images among them are numbered from `first` on."""

    first: int
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class _Result:
    images: int
    missing: int
    rows: Sequence[Row]
    records: Sequence[tuple[int, bytes, bytes]]
    faults: Sequence[tuple[Sequence[Fault], LabelledImage | None]]


@dataclass(frozen=True, slots=True)
class _Worker:
    """Checks a batch, in a process of its own."""

    checks: ImageChecks
    records: bool
    elsewhere: frozenset[str]

    def __call__(self, batch: _Batch) -> _Result:
        rows: list[Row] = []
        records: list[tuple[int, bytes, bytes]] = []
        faults: list[tuple[Sequence[Fault], LabelledImage | None]] = []
        number, missing = batch.first, 0
        for entry in batch.entries:
            if isinstance(entry, Fault):
                if entry.check in self.elsewhere:
                    missing += 1
                elif judged := self.checks.policy.judge(entry):
                    faults.append(([judged], None))
                continue
            outcome = self.checks.examine(entry)
            if outcome.faults:
                faults.append((outcome.faults, entry))
            if outcome.image:
                size = len(outcome.encoded)
                rows.append(row(number, outcome.image, size))
                if self.records:
                    records.append((number, *frame(outcome.image, size)))
            number += 1
        return _Result(number - batch.first, missing, rows, records, faults)


def _batches(entries: Iterable[Entry]) -> Iterator[_Batch]:
    first, waiting = 0, list[Entry]()
    for entry in entries:
        waiting.append(entry)
        if len(waiting) >= _BATCH:
            yield _Batch(first, waiting)
            first += sum(isinstance(entry, LabelledImage) for entry in waiting)
            waiting = []
    if waiting:
        yield _Batch(first, waiting)


def _pickle_box(box: Box) -> tuple[type[Box], tuple[object, ...]]:
    return Box, (
        box.xmin,
        box.ymin,
        box.xmax,
        box.ymax,
        box.label,
        box.name,
        box.place,
        box.difficult,
        box.truncated,
        box.crowd,
        box.confidence,
    )


def _pickle_image(image: LabelledImage) -> tuple[type[LabelledImage], tuple[object, ...]]:
    return LabelledImage, (
        image.source_id,
        image.image,
        image.annotation,
        image.encoded,
        image.boxes,
        image.width,
        image.height,
        image.given_split,
        image.group,
    )


def _encoded_at(path: str, offset: int, length: int) -> Encoded:
    return Encoded(Path(path), offset, length)


def _pickle_encoded(encoded: Encoded) -> tuple[Callable[[str, int, int], Encoded], tuple[str, int, int]]:
    return _encoded_at, (str(encoded.path), encoded.offset, encoded.length)


# What dataclasses with slots do by themselves takes longer than all checks of the boxes.
copyreg.pickle(Box, _pickle_box)
copyreg.pickle(LabelledImage, _pickle_image)
copyreg.pickle(Encoded, _pickle_encoded)
