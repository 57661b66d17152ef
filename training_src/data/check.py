# SPDX-License-Identifier: Apache-2.0
"""What must be true of a data set before anything is trained on it. Every fault is one sentence."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from training_src.data.dataset import Box, Dataset, Fault, LabelledImage
from training_src.data.images import BrokenImageError, ImageFacts, inspect
from training_src.data.label_map import LabelMap
from training_src.errors import ConfigurationError
from training_src.models.errors import TextFormatError
from training_src.models.text_format import Message, parse

# A box may leave its image by so many pixels: annotation tools count from 0 or from 1, and round. It is clipped.
TOLERANCE = 2.0


@dataclass(frozen=True)
class CheckedImage:
    """An image that was decoded, with boxes that lie in it.

    Attributes:
        labelled: as it was read, its boxes repaired and its size as decoded.
        format: "jpeg" or "png".
        sha256: of the encoded image, hexadecimal.
        clipped, dropped: numbers of repaired boxes.
    """

    labelled: LabelledImage
    format: str
    sha256: str
    clipped: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Verdict:
    """All images that are sound, and everything that is wrong."""

    images: tuple[CheckedImage, ...]
    faults: tuple[Fault, ...]
    notices: tuple[str, ...]


def check(
    dataset: Dataset,
    *,
    config: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 2,
) -> Verdict:
    """Decode every image and look at every box.

    Repaired, with a notice: boxes that leave their image by at most `TOLERANCE` pixels are clipped; boxes that are
    a single point (someone clicked without dragging) are dropped. Everything else that is wrong is a fault.

    Args:
        dataset: as a reader found it.
        config: the user's pipeline.config, whose `num_classes` must reach the greatest label id.
        progress: called with the number of images checked and their total.
        workers: threads that decode.
    """
    entries = list(dataset.entries())
    found = [entry for entry in entries if isinstance(entry, LabelledImage)]
    faults = [entry for entry in entries if isinstance(entry, Fault)]
    images: list[CheckedImage] = []
    total = len(found)
    for done, (labelled, outcome) in enumerate(_in_order(found, workers), start=1):
        if isinstance(outcome, Fault):
            faults.append(outcome)
        else:
            images.append(_checked(labelled, *outcome, faults))
        if progress:
            progress(done, total)
    faults += _repeated(found)
    if not any(image.labelled.boxes for image in images) and not faults:
        faults.append(Fault(dataset.format, None, "empty", "No image has a box; there is nothing to learn."))
    if config is not None and (fault := check_num_classes(config, dataset.label_map)):
        faults.append(fault)
    return Verdict(tuple(images), tuple(faults), (*dataset.notices, *_repairs(images)))


def check_num_classes(config: Path, label_map: LabelMap) -> Fault | None:
    """Whether a pipeline.config's model has an output for every label id.

    The TF Object Detection API trains an id beyond `num_classes` as nothing, and says nothing.

    Raises:
        ConfigurationError: the file cannot be read, or states no `num_classes`.
    """
    try:
        model = _last_message(parse(config.read_text(encoding="utf-8"), config.name), "model")
    except (TextFormatError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{config.name} is no pipeline.config: {error}") from None
    architecture = next((values[-1] for values in model.values() if isinstance(values[-1], Message)), Message())
    number = architecture.get("num_classes", [None])[-1]
    if not isinstance(number, int):
        raise ConfigurationError(f"{config.name}: the model states no num_classes; add it.")
    if number >= label_map.greatest_id:
        return None
    ids = ", ".join(f"{label} ({name})" for label, name in label_map.names.items())
    message = (
        f"{config.name}: num_classes is {number}, but the greatest label id is {label_map.greatest_id} (ids: {ids}); "
        f"set num_classes to {label_map.greatest_id}, or number the classes without gaps."
    )
    return Fault(config.name, None, "num_classes", message)


def _last_message(parent: Message, name: str) -> Message:
    value = parent.get(name, [Message()])[-1]
    return value if isinstance(value, Message) else Message()


def _in_order(
    images: Iterable[LabelledImage], workers: int
) -> Iterator[tuple[LabelledImage, tuple[ImageFacts, str] | Fault]]:
    """Inspect a few images at a time, so that memory holds no more than those."""
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[tuple[LabelledImage, Future[tuple[ImageFacts, str] | Fault]]] = deque()
        for labelled in images:
            pending.append((labelled, pool.submit(_inspected, labelled)))
            if len(pending) >= 4 * workers:
                first, future = pending.popleft()
                yield first, future.result()
        for first, future in pending:
            yield first, future.result()


def _inspected(labelled: LabelledImage) -> tuple[ImageFacts, str] | Fault:
    try:
        encoded = labelled.encoded.load()
        return inspect(encoded), hashlib.sha256(encoded).hexdigest()
    except (BrokenImageError, OSError) as error:
        message = f"{labelled.image} {error}; export it again, or remove it and its annotation."
        return Fault(labelled.image, None, "image", message)


def _checked(labelled: LabelledImage, facts: ImageFacts, sha256: str, faults: list[Fault]) -> CheckedImage:
    stated = (labelled.width or facts.width, labelled.height or facts.height)
    if stated != (facts.width, facts.height):
        message = (
            f"{labelled.annotation} says that {labelled.image} is {stated[0]} x {stated[1]} pixels, "
            f"but it is {facts.width} x {facts.height}; correct the size, and the boxes if the image was resized."
        )
        faults.append(Fault(labelled.annotation, None, "size", message))
    kept: list[Box] = []
    seen: dict[tuple[object, ...], str] = {}
    clipped = dropped = 0
    for box in labelled.boxes:
        if box.xmin == box.xmax and box.ymin == box.ymax:
            dropped += 1
            continue
        check, sentence = _box_fault(box, facts)
        key = (box.label, box.xmin, box.ymin, box.xmax, box.ymax)
        if not sentence and key in seen:
            check, sentence = "duplicate", f"repeats {seen[key]}: same class, same edges; remove one of them"
        if sentence:
            source = labelled.annotation
            named = source if source == labelled.image else f"{source}: {labelled.image}"
            message = f"{named}: {box.place} ({box.name}) {box} {sentence}."
            faults.append(Fault(source, f"{box.place} {box}", check, message))
            continue
        seen[key] = box.place
        inside = _clipped(box, facts)
        clipped += _beyond(box, facts) > 0.01  # TFRecord's float32 edges may round a little beyond 1
        kept.append(inside)
    sound = replace(labelled, boxes=tuple(kept), width=facts.width, height=facts.height)
    return CheckedImage(sound, facts.format, sha256, clipped, dropped)


def _box_fault(box: Box, facts: ImageFacts) -> tuple[str, str]:
    """The rule that a box breaks, and the rest of the sentence; two empty strings for a sound box."""
    edges = (box.xmin, box.ymin, box.xmax, box.ymax)
    if not all(map(math.isfinite, edges)):
        return "box", "has an edge that is no finite number"
    if box.xmin > box.xmax or box.ymin > box.ymax:
        return "corners", "has swapped corners; write xmin, ymin, xmax, ymax (not x, y, width, height)"
    if box.xmin == box.xmax or box.ymin == box.ymax:
        return "area", "has no area; draw it again or remove it"
    beyond = _beyond(box, facts)
    if beyond > TOLERANCE:
        size = f"{facts.width} x {facts.height}"
        return "outside", f"lies outside its image of {size} pixels, by {beyond:g}; correct it"
    inside = _clipped(box, facts)
    if inside.xmin >= inside.xmax or inside.ymin >= inside.ymax:
        return "outside", "lies wholly outside its image; remove it"
    return "", ""


def _beyond(box: Box, facts: ImageFacts) -> float:
    """How many pixels a box leaves its image by; negative inside."""
    return max(-box.xmin, -box.ymin, box.xmax - facts.width, box.ymax - facts.height)


def _clipped(box: Box, facts: ImageFacts) -> Box:
    return replace(
        box,
        xmin=max(box.xmin, 0.0),
        ymin=max(box.ymin, 0.0),
        xmax=min(box.xmax, float(facts.width)),
        ymax=min(box.ymax, float(facts.height)),
    )


def _repeated(images: Iterable[LabelledImage]) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for labelled in images:
        if labelled.source_id in seen:
            first = seen[labelled.source_id]
            message = (
                f'{labelled.annotation}: the image "{labelled.source_id}" stands twice, first in {first}; keep one.'
            )
            yield Fault(labelled.annotation, None, "duplicate", message)
        seen.setdefault(labelled.source_id, labelled.annotation)


def _repairs(images: Iterable[CheckedImage]) -> Iterator[str]:
    for image in images:
        if image.dropped:
            boxes = (
                "1 box that is a single point"
                if image.dropped == 1
                else f"{image.dropped} boxes that are single points"
            )
            yield f"{image.labelled.annotation}: {boxes} dropped."
        if image.clipped:
            boxes = "1 box" if image.clipped == 1 else f"{image.clipped} boxes"
            yield f"{image.labelled.annotation}: {boxes} clipped to the image ({TOLERANCE:g} pixels outside at most)."
