# SPDX-License-Identifier: Apache-2.0
"""Test images for the report: the best, and those where boxes were missed or imagined."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from training_src.data.images import decode_picture
from training_src.drawing import FALSE_ALARM, MISSED, Mark, colours, draw, encode_jpeg
from training_src.evaluation.boxes import Detections
from training_src.evaluation.outcomes import Outcome, examples, outcomes
from training_src.evaluation.test_set import TestSet


@dataclass(frozen=True)
class Picture:
    """An image with its boxes, as JPEG."""

    jpeg: bytes
    name: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures of one kind."""

    title: str
    explanation: str
    pictures: tuple[Picture, ...]


def galleries(
    test_set: TestSet,
    detections: Detections,
    label_map: Mapping[int, str],
    score: float,
    refused: Container[str] = (),
) -> list[Gallery]:
    """Pictures of the best images, the most misses and the most false alarms, at one score.

    Images that a server refused are left out: nobody may be able to decode them.

    Raises:
        DataError: A chosen image cannot be decoded.
    """
    found = outcomes(test_set.truth, detections, score)
    chosen = examples([one for one in found if test_set.truth.source_ids[one.image] not in refused])
    kinds = (
        ("Misses", "Where most boxes were missed.", chosen.missed),
        ("False alarms", "Where most detections are of nothing, or of the wrong class.", chosen.false_alarms),
        ("Best", "The fullest images without an error.", chosen.best),
    )
    encoded = test_set.encoded(one.image for _, _, found in kinds for one in found)
    painter = _Painter(test_set, detections, label_map, encoded)
    return [Gallery(title, text, painter.paint_all(found)) for title, text, found in kinds if found]


@dataclass(frozen=True)
class _Painter:
    test_set: TestSet
    detections: Detections
    label_map: Mapping[int, str]
    encoded: Mapping[int, bytes]

    def paint_all(self, found: Sequence[Outcome]) -> tuple[Picture, ...]:
        return tuple(self.paint(one) for one in found)

    def paint(self, outcome: Outcome) -> Picture:
        name = self.test_set.truth.source_ids[outcome.image]
        image = draw(decode_picture(self.encoded[outcome.image], name), self.marks(outcome))
        boxes = len(outcome.found) + len(outcome.missed)
        caption = f"{len(outcome.hits)} of {boxes} found, {len(outcome.false_alarms)} false"
        return Picture(encode_jpeg(image), name, caption)

    def marks(self, outcome: Outcome) -> list[Mark]:
        """Missed boxes first, so that what was detected lies above them."""
        truth, found, colour = self.test_set.truth, self.detections, colours(self.label_map)
        missed = [
            Mark(truth.boxes[row], f"missed {self.label_map[int(truth.classes[row])]}", MISSED, dashed=True)
            for row in outcome.missed
        ]
        seen = [Mark(truth.boxes[row], "", "#ffffff", dashed=True) for row in outcome.found]
        hits = [Mark(found.boxes[row], self._label(row), colour[int(found.classes[row])]) for row in outcome.hits]
        alarms = [Mark(found.boxes[row], f"false: {self._label(row)}", FALSE_ALARM) for row in outcome.false_alarms]
        return [*missed, *seen, *hits, *alarms]

    def _label(self, row: int) -> str:
        return f"{self.label_map[int(self.detections.classes[row])]} {self.detections.scores[row]:.2f}"
