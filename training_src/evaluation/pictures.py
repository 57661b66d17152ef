# SPDX-License-Identifier: Apache-2.0
"""Test images for the report, what was found beside what is there: misses, false alarms, labels in doubt, best."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.data.images import decode_picture
from training_src.drawing import FALSE_ALARM, MISSED, Image, Mark, colours, draw, encode_jpeg
from training_src.evaluation.assignment import NONE
from training_src.evaluation.boxes import Detections, Floats
from training_src.evaluation.label_errors import LabelError
from training_src.evaluation.outcomes import Outcome, examples, outcomes
from training_src.evaluation.test_set import TestSet

AnyFloats = NDArray[np.floating[Any]]
# Pictures of each kind, and the longer side of one of a pair in pixels: what a page of some megabytes can hold.
EACH, SIDE = 4, 440
DOUBTS, DOUBT_SIDE = 12, 260
_QUALITY = 80
# Where more boxes than this lie in an image, only false alarms are named; dashes say what is missed.
_MOST_NAMED = 8
# How much of its surroundings a label in doubt is shown with, in its own longer sides, and at least as a share of the
# image's longer side.
_AROUND, _LEAST_AROUND = 0.8, 0.06


@dataclass(frozen=True)
class Picture:
    """An image with what was found in it, and beside it the same with what is there, each as JPEG."""

    found: bytes
    there: bytes
    name: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures of one kind."""

    title: str
    explanation: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Seen:
    """What the report shows: pictures of whole images, and of labels in doubt with how many more there are."""

    galleries: tuple[Gallery, ...] = ()
    doubts: tuple[Picture, ...] = ()


def pictures(
    test_set: TestSet,
    detections: Detections,
    label_map: Mapping[int, str],
    score: float,
    doubts: Sequence[LabelError] = (),
    refused: Container[str] = (),
) -> Seen:
    """Pictures of the most misses, the most false alarms and the best images at one score, and of labels in doubt.

    Images that a server refused are left out: nobody may be able to decode them.

    Raises:
        DataError: A chosen image cannot be decoded.
    """
    names = test_set.truth.source_ids
    found = outcomes(test_set.truth, detections, score)
    chosen = examples([one for one in found if names[one.image] not in refused], EACH)
    kinds = (
        ("Misses", "where most boxes were missed", chosen.missed),
        ("False alarms", "where most detections are of nothing, or of the wrong class", chosen.false_alarms),
        ("Best", "the fullest images without an error", chosen.best),
    )
    doubted = [one for one in doubts if names[one.image] not in refused][:DOUBTS]
    wanted = {one.image for _, _, of_kind in kinds for one in of_kind} | {one.image for one in doubted}
    painter = _Painter(test_set, detections, label_map, test_set.encoded(wanted))
    return Seen(
        tuple(Gallery(title, text, tuple(map(painter.paint, of_kind))) for title, text, of_kind in kinds if of_kind),
        tuple(map(painter.paint_doubt, doubted)),
    )


@dataclass(frozen=True)
class _Painter:
    test_set: TestSet
    detections: Detections
    label_map: Mapping[int, str]
    encoded: Mapping[int, bytes]

    def paint(self, outcome: Outcome) -> Picture:
        image = self._decoded(outcome.image)
        name = self.test_set.truth.source_ids[outcome.image]
        boxes = len(outcome.found) + len(outcome.missed)
        caption = f"{len(outcome.hits)} of {boxes} found, {len(outcome.false_alarms)} false"
        there = [*outcome.found, *outcome.missed]
        return Picture(
            _encoded(draw(image, self._found(outcome), SIDE)),
            _encoded(draw(image, self._there(there, named=len(there) <= _MOST_NAMED), SIDE)),
            name,
            caption,
        )

    def paint_doubt(self, doubt: LabelError) -> Picture:
        """What is around a label in doubt, with the labels on one side and what contradicts on the other."""
        image, truth = self._decoded(doubt.image), self.test_set.truth
        label = self.label_map[int(self.detections.classes[doubt.detection])]
        found = self.detections.boxes[doubt.detection]
        boxes = np.stack([found] if doubt.box == NONE else [found, truth.boxes[doubt.box]])
        window = _window(boxes, image.shape[0], image.shape[1])
        mine = np.flatnonzero(truth.image_index == doubt.image).tolist()
        there = [Mark(_within(one.box, window), one.label, one.colour) for one in self._there(mine, named=True)]
        mark = Mark(_within(found, window), self._label(doubt.detection), colours(self.label_map)[self._class(doubt)])
        part = _part(image, window)
        return Picture(
            _encoded(draw(part, [mark], DOUBT_SIDE)),
            _encoded(draw(part, [one for one in there if _is_seen(one.box)], DOUBT_SIDE)),
            truth.source_ids[doubt.image],
            _doubted(doubt, label, "" if doubt.box == NONE else self.label_map[int(truth.classes[doubt.box])]),
        )

    def _class(self, doubt: LabelError) -> int:
        return int(self.detections.classes[doubt.detection])

    def _decoded(self, image: int) -> Image:
        return decode_picture(self.encoded[image], self.test_set.truth.source_ids[image])

    def _found(self, outcome: Outcome) -> list[Mark]:
        """Missed boxes first, so that what was detected lies above them."""
        truth, found, colour = self.test_set.truth, self.detections, colours(self.label_map)
        named, told = len(outcome.hits) <= _MOST_NAMED, outcome.errors <= _MOST_NAMED
        missed = [
            Mark(
                truth.boxes[row],
                f"missed {self.label_map[int(truth.classes[row])]}" if told else "",
                MISSED,
                dashed=True,
            )
            for row in outcome.missed
        ]
        hits = [
            Mark(found.boxes[row], self._label(row) if named else "", colour[int(found.classes[row])])
            for row in outcome.hits
        ]
        alarms = [Mark(found.boxes[row], f"false: {self._label(row)}", FALSE_ALARM) for row in outcome.false_alarms]
        return [*missed, *hits, *alarms]

    def _there(self, rows: Sequence[int], *, named: bool) -> list[Mark]:
        truth, colour = self.test_set.truth, colours(self.label_map)
        labels = [int(truth.classes[row]) for row in rows]
        return [
            Mark(truth.boxes[row], self.label_map[label] if named else "", colour[label])
            for row, label in zip(rows, labels, strict=True)
        ]

    def _label(self, row: int) -> str:
        return f"{self.label_map[int(self.detections.classes[row])]} {self.detections.scores[row]:.2f}"


def _doubted(doubt: LabelError, found: str, labelled: str) -> str:
    if doubt.kind == "no box":
        return f"No box, but it looks like {found}"
    if doubt.kind == "wrong class":
        return f"Labelled {labelled}, but it looks like {found}"
    return f"The box of {labelled} seems to be in the wrong place"


def _window(boxes: Floats, height: int, width: int) -> Floats:
    """A square around boxes, as far as the image has room for it: ymin, xmin, ymax, xmax in fractions of the image."""
    size = np.array([height, width], np.float64)
    low, high = boxes[:, :2].min(axis=0) * size, boxes[:, 2:].max(axis=0) * size
    side = (high - low).max() + 2 * max(_AROUND * float((high - low).max()), _LEAST_AROUND * max(height, width))
    side = np.minimum(side, size)
    start = np.clip((low + high - side) / 2, 0, size - side)
    return np.asarray(np.concatenate([start / size, (start + side) / size]))


def _within(box: AnyFloats, window: Floats) -> Floats:
    """A box as fractions of a window."""
    start, extent = np.tile(window[:2], 2), np.tile(window[2:] - window[:2], 2)
    return np.asarray((box - start) / extent)


def _is_seen(box: AnyFloats) -> bool:
    return bool((box[2:] > 0).all() and (box[:2] < 1).all())


def _part(image: Image, window: Floats) -> Image:
    height, width = image.shape[:2]
    top, left, bottom, right = np.round(window * [height, width, height, width]).astype(int).tolist()
    return np.ascontiguousarray(image[top : max(bottom, top + 1), left : max(right, left + 1)])


def _encoded(image: Image) -> bytes:
    return encode_jpeg(image, _QUALITY)
