# SPDX-License-Identifier: Apache-2.0
"""PrepareDataset: reads a data set in any supported layout, checks all of it, splits it and writes TFRecord shards.

Also `check`, which does the same but for the writing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training_src.data.check import CheckedImage, check
from training_src.data.dataset import Fault
from training_src.data.formats import read_dataset
from training_src.data.label_map import LabelMap, read_label_map, write_label_map
from training_src.data.shards import write_shards
from training_src.data.splits import SPLITS, Member, Split, assign
from training_src.data.statistics import Prepared, describe, group_key
from training_src.errors import BadInputError, ConfigurationError, DataError
from training_src.job import ProcessingJob, run
from training_src.models.config.pipeline import bundled_architectures, load
from training_src.models.errors import ModelError

# How many notices and faults are printed; the rest is counted.
_SHOWN = 50


def main() -> int:
    """Entry point of PrepareDataset."""
    return run(prepare, ProcessingJob)


def prepare(job: ProcessingJob) -> None:
    """Write the outputs train, validation, test and metadata from the inputs dataset, label_map and config.

    Raises:
        DataError: with a sentence for every fault; nothing is written then.
        ConfigurationError: the architecture or pipeline.config cannot be trained.
    """
    folder = job.input("dataset")
    if folder is None:
        raise DataError("The input dataset is empty: DatasetUri must name a prefix that holds a data set.")
    config = _only_file(job.input("config"), "PipelineConfigUri")
    label_map = _only_file(job.input("label_map"), "LabelMapUri")
    _check_architecture(job.environment.get("MAPGATE_ARCHITECTURE", ""), config)
    examined = examine(folder, config=config, label_map=label_map, progress=_Progress("checked"))
    for notice in _shortened(examined.notices):
        print(f"notice: {notice}", flush=True)
    if examined.faults:
        raise DataError(*_shortened([fault.message for fault in examined.faults]))
    if config is not None:
        _check_trainable(config, examined.label_map)
    _write(job, examined)
    print(examined.summary(), flush=True)


def run_check(arguments: Sequence[str]) -> int:
    """Entry point of `check FOLDER [--config FILE] [--label-map FILE] [--json]`: 0 sound, 2 faulty."""
    parser = argparse.ArgumentParser(prog="python -m training_src check", description="Check a data set.")
    parser.add_argument("folder", type=Path, help="the folder that holds images and annotations")
    parser.add_argument("--config", type=Path, help="pipeline.config whose num_classes must fit")
    parser.add_argument("--label-map", type=Path, help="label_map.pbtxt to use instead of the folder's own")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        for file in (options.config, options.label_map):
            if file is not None and not file.is_file():
                raise BadInputError(f"{file} is no file.")
        progress = None if options.json else _Progress("checked")
        examined = examine(options.folder, config=options.config, label_map=options.label_map, progress=progress)
    except BadInputError as error:
        sentences = error.sentences if isinstance(error, DataError) else [str(error)]
        faults = [Fault(options.folder.name, None, "layout", sentence) for sentence in sentences]
        examined = Examined("", LabelMap({}), dict.fromkeys(SPLITS, ()), tuple(faults), ())
    if options.json:
        print(json.dumps(examined.as_json(), indent=2))
        return 2 if examined.faults else 0
    for notice in _shortened(examined.notices):
        print(f"notice: {notice}")
    for message in _shortened([fault.message for fault in examined.faults]):
        print(message, file=sys.stderr)
    if examined.faults:
        return 2
    print(examined.summary())
    return 0


@dataclass(frozen=True)
class Examined:
    """A data set that was read, checked and split, but not written.

    Attributes:
        format: the layout's name, empty where there is none.
        label_map: its classes.
        prepared: sound images by split, in the order of their source ids.
        faults: if there is any, nothing may be written.
        notices: what was repaired or decided.
    """

    format: str
    label_map: LabelMap
    prepared: Prepared
    faults: tuple[Fault, ...]
    notices: tuple[str, ...]

    def description(self) -> dict[str, Any]:
        """The content of `dataset.json`."""
        return describe(self.prepared, self.label_map, layout=self.format, notices=self.notices)

    def summary(self) -> str:
        """A line a split and a line of classes."""
        found = self.description()
        lines = [
            f"{split}: {counts['images']} images, {counts['boxes']} boxes ("
            + ", ".join(f"{name} {number}" for name, number in counts["boxes_per_class"].items())
            + ")"
            for split, counts in found["splits"].items()
        ]
        return "\n".join([*lines, f"{self.format}, {found['images']} images, sha256 {found['sha256'][:16]}"])

    def as_json(self) -> dict[str, Any]:
        """What `check --json` prints."""
        if not self.label_map.names:
            return {"faults": [asdict(fault) for fault in self.faults], "notices": [], "images": 0, "boxes": 0,
                    "classes": [], "splits": {}, "format": None, "sha256": None}  # fmt: skip
        found = self.description()
        kept = {key: found[key] for key in ("images", "boxes", "classes", "splits", "format", "sha256")}
        return {"faults": [asdict(fault) for fault in self.faults], "notices": list(self.notices), **kept}


def examine(
    folder: Path,
    *,
    config: Path | None = None,
    label_map: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Examined:
    """Read, check and split a data set.

    Raises:
        DataError: the folder cannot be read at all; single faults are in the result instead.
    """
    dataset = read_dataset(folder, read_label_map(label_map) if label_map else None)
    verdict = check(dataset, config=config, progress=progress)
    images = sorted(verdict.images, key=lambda image: image.labelled.source_id)
    prepared, notices, faults = _split(images, folder)
    faults = verdict.faults or faults  # an image that was left out for a fault must not be missed again
    notices = (*verdict.notices, *notices, *_unseen_classes(prepared, dataset.label_map))
    return Examined(dataset.format, dataset.label_map, prepared, faults, notices)


def _split(images: Sequence[CheckedImage], folder: Path) -> tuple[Prepared, tuple[str, ...], tuple[Fault, ...]]:
    """Images by split, what was decided, and what is wrong with it."""
    prepared: dict[Split, list[CheckedImage]] = {split: [] for split in SPLITS}
    try:
        assignment = assign([Member(image.labelled.given_split, group_key(image)) for image in images])
    except ValueError as error:
        message = f"{folder.name}: {error}; add a train split, or remove the others."
        return prepared, (), (Fault(folder.name, None, "split", message),)
    for image, split in zip(images, assignment.splits, strict=True):
        if split:
            prepared[split].append(image)
    faults = [
        Fault(
            folder.name,
            None,
            "split",
            f"{folder.name}: the {split} split has no image with a box; give it more images, or splits of your own "
            "(folders train, val and test).",
        )
        for split in SPLITS
        if not any(image.labelled.boxes for image in prepared[split])
    ]
    return prepared, assignment.notices, tuple(faults)


def _unseen_classes(prepared: Prepared, label_map: LabelMap) -> tuple[str, ...]:
    seen = {box.name for image in prepared["train"] for box in image.labelled.boxes}
    missing = [name for name in label_map.names.values() if name not in seen]
    return (f"No training image has a box of: {', '.join(missing)}.",) if missing else ()


def _write(job: ProcessingJob, examined: Examined) -> None:
    total = sum(len(images) for images in examined.prepared.values())
    progress = _Progress("written")
    for split in SPLITS:
        write_shards(examined.prepared[split], job.output(split), split, written=lambda: progress.step(total))
    metadata = job.output("metadata")
    write_label_map(examined.label_map, metadata / "label_map.pbtxt")
    beside = metadata / "dataset.json.partial"
    beside.write_text(json.dumps(examined.description(), indent=2) + "\n", encoding="utf-8")
    beside.replace(metadata / "dataset.json")


def _only_file(folder: Path | None, parameter: str) -> Path | None:
    """The file of an optional input, None where it was not given."""
    if folder is None:
        return None
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "none")
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:5]) or "none"
        raise ConfigurationError(f"{parameter} must name exactly one file; it holds {len(files)}: {names}.")
    return files[0]


def _check_architecture(architecture: str, config: Path | None) -> None:
    known = bundled_architectures()
    if config is None and architecture and architecture not in known:
        raise ConfigurationError(
            f'Architecture "{architecture}" is not known; choose one of {", ".join(known)}, or give PipelineConfigUri.'
        )


def _check_trainable(config: Path, label_map: LabelMap) -> None:
    try:
        load(config, label_map.greatest_id)
    except ModelError as error:
        raise ConfigurationError(str(error)) from None


def _shortened(sentences: Sequence[str]) -> list[str]:
    if len(sentences) <= _SHOWN:
        return list(sentences)
    return [*sentences[:_SHOWN], f"... and {len(sentences) - _SHOWN} more like these."]


class _Progress:
    """Prints a line now and then, such as `checked=200/983 images_per_second=812.0`."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._started = self._printed = time.monotonic()
        self._done = 0

    def step(self, total: int) -> None:
        """One more."""
        self(self._done + 1, total)

    def __call__(self, done: int, total: int) -> None:
        self._done = done
        now = time.monotonic()
        if done < total and now - self._printed < 2.0:
            return
        self._printed = now
        rate = done / max(now - self._started, 1e-6)
        print(f"{self._verb}={done}/{total} images_per_second={rate:.1f}", flush=True)
