# SPDX-License-Identifier: Apache-2.0
"""Writing a data set that was read in any layout as TFRecords or as COCO, for other tools.

Nothing is judged, repaired or decoded: images keep their bytes, boxes their edges, classes their ids. But an image that
EXIF turns is written upright, with its boxes, so that whoever reads it need not know what they were drawn on.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from containers.contract.orientation import UPRIGHT
from training_src.data.checks.findings import Findings
from training_src.data.checks.orientation import (
    DrawnOn,
    drawn_on,
    encode_upright,
    undecided,
    upright_annotation,
    upright_facts,
)
from training_src.data.checks.policy import read_policy_of
from training_src.data.dataset import Dataset, Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.images import BrokenImageError, read_header
from training_src.data.label_map import read_label_map
from training_src.data.writers import WRITERS, Image
from training_src.errors import DataError

# How many faults are named before the rest is not looked for.
_SHOWN = 50


@dataclass(frozen=True)
class Converted:
    """What was written: the layout that was read, counts, and what people should know."""

    format: str
    images: int
    boxes: int
    notices: tuple[str, ...]


def convert(
    source: Path,
    destination: Path,
    *,
    to: str,
    format: str | None = None,  # noqa: A002 - as the command's option
    label_map: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Converted:
    """Write a data set beside, and give it its name once it is whole.

    Args:
        source: The folder, or a list file of several.
        destination: A folder that does not exist yet, or is empty.
        to: One of `WRITERS`.
        format: The layout to read; None: the folder shows it.
        label_map: To use instead of the folder's own.
        progress: Called with the number of images written.

    Raises:
        DataError: The data set cannot be read, has faults, or the destination is taken; nothing is written then.
        OSError: The disk is full, or the destination cannot be written to.
    """
    _refuse_taken(source, destination)
    if label_map is not None and not label_map.is_file():
        raise DataError(f"{label_map} is no file; name a label_map.pbtxt.")
    dataset = read_dataset(source, read_label_map(label_map) if label_map else None, format)
    destination.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", suffix=".partial", dir=destination.parent))
    try:
        told = read_policy_of(source).orientation_boxes
        converted = _write(dataset, beside, to, told, progress or (lambda _: None))
        beside.chmod(0o755)
        beside.replace(destination)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return converted


def _refuse_taken(source: Path, destination: Path) -> None:
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise DataError(f"{destination} is not empty; name a folder that does not exist yet.")
    read, written = source.resolve(), destination.resolve()
    if written == read or read in written.parents:
        raise DataError(f"{destination} lies within {source}; name a folder outside the data set.")


def _write(dataset: Dataset, folder: Path, to: str, told: DrawnOn | None, progress: Callable[[int], None]) -> Converted:
    findings = Findings()
    images = boxes = 0
    with WRITERS[to](folder, dataset.label_map) as writer:
        for entry in dataset.entries():
            found = _image(entry, told) if isinstance(entry, LabelledImage) else entry
            if isinstance(found, Image):
                # What comes after a fault is looked at, but not written: it will be thrown away.
                if not findings.of("error"):
                    writer.write(found)
                images, boxes = images + 1, boxes + len(found.labelled.boxes)
                progress(images)
                continue
            findings.add([found])
            if len(findings.of("error")) >= _SHOWN:
                break
    if findings.of("error"):
        raise DataError(*findings.sentences("error", _SHOWN))
    return Converted(dataset.format, images, boxes, (*dataset.notices, *findings.sentences("warning", _SHOWN)))


def _image(labelled: LabelledImage, told: DrawnOn | None) -> Image | Fault:
    """An image with its bytes, upright; its size as stated, or else as its header says."""
    if fault := _fault(labelled):
        return fault
    try:
        encoded = labelled.encoded.load()
    except OSError as error:
        message = f"{labelled.image} cannot be read ({error.strerror}); copy it again."
        return Fault(labelled.image, None, "image", message)
    try:
        facts = read_header(encoded)
        if facts.orientation != UPRIGHT:
            drawn, why = drawn_on(labelled, facts, told)
            if drawn is None:
                return undecided(labelled, facts, why)
            labelled = upright_annotation(labelled, facts, drawn)
            encoded, facts = encode_upright(encoded, facts), upright_facts(facts)
    except BrokenImageError as error:
        message = f"{labelled.image} {error}; export it again, or remove it and its annotation."
        return Fault(labelled.image, None, "image", message)
    width, height = labelled.width or facts.width, labelled.height or facts.height
    return Image(replace(labelled, width=width, height=height), encoded, facts.format)


def _fault(image: LabelledImage) -> Fault | None:
    """A box that no layout can write."""
    for box in image.boxes:
        if not all(map(math.isfinite, (box.xmin, box.ymin, box.xmax, box.ymax))):
            message = (
                f"{image.annotation}: {image.image}: {box.place} ({box.name}) has an edge that is no finite number."
            )
            return Fault(image.annotation, box.place, "box", message, image=image.image)
    return None
