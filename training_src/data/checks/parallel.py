# SPDX-License-Identifier: Apache-2.0
"""Checking every image of a data set and its boxes: in all processes, with bounded memory."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from training_src.data.checks.box_batch import BoxBatch
from training_src.data.checks.findings import Findings
from training_src.data.checks.image import CheckedImage, ImageChecks
from training_src.data.dataset import Box, Dataset, Encoded, Entry, Fault, LabelledImage
from training_src.data.index import Index, Row, objects_of, row
from training_src.data.packed_boxes import PackedBoxes
from training_src.data.processes import cores, few_collections, in_order
from training_src.data.records.frame import columns_of, frame

# Entries that go to a process at once: enough to be worth the way, few enough to keep all processes busy to the end.
_BATCH, _BATCH_UNDECODED = 32, 256

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
        records: Whether to make the heads and tails of the TFRecords too.
        elsewhere: Checks whose faults are only counted: what they miss is on other machines.
        processes: How many; None: as many as there are cores.
        progress: See there.

    Returns:
        The number of faults that were only counted.
    """
    done = missing = 0
    batch = _BATCH_UNDECODED if checks.decode_check == "header" else _BATCH
    worker = _Worker(checks, records, frozenset(elsewhere))
    with few_collections():
        for result in in_order(worker, _batches(dataset.entries(), batch), processes or cores()):
            index.add(result.rows, result.records)
            for faults, labelled in result.faults:
                findings.add(faults, labelled)
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
        packed = [e for e in batch.entries if isinstance(e, LabelledImage) and isinstance(e.boxes, PackedBoxes)]
        boxes, place = BoxBatch(packed, self.checks.policy), -1
        for entry in batch.entries:
            if isinstance(entry, Fault):
                if entry.check in self.elsewhere:
                    missing += 1
                elif judged := self.checks.policy.judge(entry):
                    faults.append(([judged], None))
                continue
            is_packed = isinstance(entry.boxes, PackedBoxes)
            place += is_packed
            outcome = self.checks.examine(entry, sound=is_packed and boxes.sound(place))
            if outcome.faults:
                faults.append((outcome.faults, entry))
            if outcome.image:
                labelled, size = outcome.image.labelled, len(outcome.encoded)
                as_packed = is_packed and labelled is entry
                objects = boxes.objects(place) if as_packed else objects_of(labelled.boxes)
                rows.append(row(number, outcome.image, size, objects))
                if self.records:
                    columns = (
                        boxes.columns(place)
                        if as_packed
                        else columns_of(labelled.boxes, labelled.width, labelled.height)
                    )
                    records.append((number, *frame(outcome.image, size, columns)))
            number += 1
        return _Result(number - batch.first, missing, rows, records, faults)


def _batches(entries: Iterable[Entry], size: int) -> Iterator[_Batch]:
    first, waiting = 0, list[Entry]()
    for entry in entries:
        waiting.append(entry)
        if len(waiting) >= size:
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


def _pickle_encoded(encoded: Encoded) -> tuple[type[Encoded], tuple[str, int, int]]:
    return Encoded, (encoded.file, encoded.offset, encoded.length)


# What dataclasses with slots do by themselves takes longer than all checks of the boxes.
copyreg.pickle(Box, _pickle_box)
copyreg.pickle(LabelledImage, _pickle_image)
copyreg.pickle(Encoded, _pickle_encoded)
