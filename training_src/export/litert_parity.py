# SPDX-License-Identifier: Apache-2.0
"""Whether a LiteRT file still finds what the float32 detector finds, on labelled images that it was not calibrated on.

A file can load, run and be useless: a range that is too narrow empties boxes or moves all of them the same way.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training_src.errors import DataError
from training_src.evaluation.boxes import Detections, GroundTruth, intersection_over_union, rows_by_image
from training_src.evaluation.coco import evaluate
from training_src.export.litert_model import resized
from training_src.export.litert_run import Found, LitertDetector
from training_src.models.ssd import SsdDetector
from training_src.training.records import Records

# What is compared: the detections that a client would show. Where it would show none, those that are as good as the
# best one of the median image.
LEAST_SCORE = 0.3
# Two detections of one class are of the same thing.
LEAST_IOU = 0.3
# By how much mAP may fall, of 1.
GREATEST_FALL = 0.02
# Which share of the shown detections may have no area in the picture.
GREATEST_EMPTY = 0.0
# How far boxes may be moved in one direction on average, in shares of their sides.
GREATEST_SHIFT = 0.05
# What share of float32's shown detections must be found again.
LEAST_FOUND = 0.9
# How much of them must then overlap on average: intersection over union.
LEAST_OVERLAP = 0.85
# How much higher or lower their scores may be on average, of 1: clients have one threshold for any form.
GREATEST_SCORE_SHIFT = 0.05
# Each costs an inference in both forms.
GREATEST_COUNT = 500


@dataclass(frozen=True)
class LitertParity:
    """How a file compares with the float32 detector.

    Attributes:
        images: On how many.
        map_float32: mAP of the float32 detector.
        map: Of the file; both are None where no box is labelled.
        least_score: From which score on detections are shown.
        shown: How many float32 shows.
        found: Which share of them the file finds too.
        empty: Which share of the file's shown detections has no area in the picture.
        shift: How far the file's boxes lie lower and further right, in shares of their sides: the greater of the two
            means, without its sign.
        overlap: Mean intersection over union of what is found again.
        score_shift: By how much its scores are higher on average, of 1.
        failures: A sentence for each thing that is not good enough.
    """

    images: int
    map_float32: float | None
    map: float | None
    least_score: float
    shown: int
    found: float
    empty: float
    shift: float
    overlap: float
    score_shift: float
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        """For `parity.json`."""
        return {**asdict(self), "failures": list(self.failures), "passed": self.passed}

    def __str__(self) -> str:
        figures = "no labelled box"
        if self.map is not None and self.map_float32 is not None:
            figures = f"mAP {self.map:.4f}, float32's is {self.map_float32:.4f}"
        return (
            f"{figures}; {self.found:.1%} of {self.shown} detections of {self.least_score:.2g} or more found again, "
            f"overlap {self.overlap:.3f}, scores {self.score_shift:+.3f}, on {self.images} images"
        )


def float32_detections(detector: SsdDetector, class_ids: list[int], records: Records) -> list[Found]:
    """What the float32 detector finds in each image that is compared."""

    def detect(pixels: tf.Tensor) -> Any:
        inputs = detector.normalise(pixels, tf.shape(pixels)[1:][None])
        return detector.postprocess(detector.predict(inputs, training=False), inputs.true_shapes, class_ids)

    signature = [tf.TensorSpec([1, *(detector.input_size or (None, None)), 3])]
    traced = tf.function(detect, input_signature=signature, autograph=False)
    found = []
    for index in _chosen(records):
        kept = traced(tf.cast(resized(detector, records.decoded(index)[1]), tf.float32)[None])
        count = int(kept.count[0])
        classes = np.array(class_ids)[kept.classes[0, :count].numpy().astype(int)]
        found.append((kept.boxes[0, :count].numpy(), kept.scores[0, :count].numpy(), classes))
    return found


def compare(
    content: bytes, detector: SsdDetector, names: Mapping[int, str], records: Records, reference: list[Found]
) -> LitertParity:
    """Run a file on the images and compare.

    Args:
        content: The file's.
        detector: That it was made of.
        names: The label map's.
        records: The validation split.
        reference: Of `float32_detections`, of the same records.
    """
    litert = LitertDetector(content, sorted(names))
    chosen = _chosen(records)
    try:
        other = [litert.detect(resized(detector, records.decoded(index)[1])) for index in chosen]
    except DataError as error:
        return LitertParity(len(chosen), None, None, LEAST_SCORE, 0, 0.0, 0.0, 0.0, 0.0, 0.0, (str(error),))
    examples = [records[index] for index in chosen]
    truth = GroundTruth.from_images(
        sizes=[(example.height, example.width) for example in examples],
        boxes=[example.boxes for example in examples],
        classes=[example.labels for example in examples],
        ignored=[example.crowd > 0 for example in examples],
    )
    least_score = _least_score(reference)
    empty = np.concatenate([_is_empty(boxes[scores >= least_score]) for boxes, scores, _ in other])
    mine, theirs = _gathered(reference), _gathered(other)
    values = [evaluate(truth, each, names).values["mAP"] for each in (mine, theirs)]
    pairs = _pairs(mine, theirs, len(chosen), least_score)
    share = float(empty.mean()) if len(empty) else 0.0
    failures = tuple(_failures(values[0], values[1], share, pairs))
    return LitertParity(
        images=len(chosen),
        map_float32=values[0],
        map=values[1],
        least_score=least_score,
        shown=pairs.shown,
        found=pairs.found,
        empty=share,
        shift=pairs.shift,
        overlap=pairs.overlap,
        score_shift=pairs.score_shift,
        failures=failures,
    )


def _chosen(records: Records) -> list[int]:
    spread = np.linspace(0, len(records) - 1, min(len(records), GREATEST_COUNT)).round().astype(int)
    return [int(index) for index in spread]


def _least_score(reference: list[Found]) -> float:
    best = [float(scores.max()) for _, scores, _ in reference if len(scores)]
    return LEAST_SCORE if not best or max(best) >= LEAST_SCORE else float(np.median(best))


def _is_empty(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    inside = np.clip(boxes, 0.0, 1.0)
    return np.asarray(~(np.isfinite(boxes).all(axis=1) & (inside[:, 2:] > inside[:, :2]).all(axis=1)))


def _gathered(found: list[Found]) -> Detections:
    """Cut at the picture's border, as the detector does, and without what is left empty."""
    kept = [~_is_empty(boxes) for boxes, _, _ in found]
    return Detections.from_images(
        [np.clip(boxes[rows], 0.0, 1.0) for (boxes, _, _), rows in zip(found, kept, strict=True)],
        [np.clip(scores[rows], 0.0, 1.0) for (_, scores, _), rows in zip(found, kept, strict=True)],
        [classes[rows] for (_, _, classes), rows in zip(found, kept, strict=True)],
    )


@dataclass(frozen=True)
class _Pairs:
    """Detections that float32 shows, each with the file's that is most like it, where there is one.

    Attributes:
        shown: How many float32 shows.
        moved: Of each pair, how far the centre lies lower and further right, in shares of the sides; `(pairs, 2)`.
        overlaps: Of each pair, `(pairs)`.
        score_differences: Of each pair, the file's score less float32's; `(pairs)`.
    """

    shown: int
    moved: NDArray[np.float64]
    overlaps: NDArray[np.float64]
    score_differences: NDArray[np.float64]

    @property
    def found(self) -> float:
        return len(self.overlaps) / self.shown if self.shown else 1.0

    @property
    def shift(self) -> float:
        return float(np.abs(self.moved.mean(axis=0)).max()) if len(self.moved) else 0.0

    @property
    def overlap(self) -> float:
        return float(self.overlaps.mean()) if len(self.overlaps) else 1.0

    @property
    def score_shift(self) -> float:
        return float(self.score_differences.mean()) if len(self.score_differences) else 0.0


def _pairs(mine: Detections, theirs: Detections, images: int, least_score: float) -> _Pairs:
    moved, overlaps, differences, shown = [np.zeros((0, 2))], [np.zeros(0)], [np.zeros(0)], 0
    both = zip(rows_by_image(mine.image_index, images), rows_by_image(theirs.image_index, images), strict=True)
    for ours, others in both:
        seen = ours[mine.scores[ours] >= least_score]
        shown += len(seen)
        if not len(seen) or not len(others):
            continue
        alike = mine.classes[seen][:, None] == theirs.classes[others][None]
        overlap = intersection_over_union(mine.boxes[seen], theirs.boxes[others]) * alike
        hit = overlap.max(axis=1) >= LEAST_IOU
        again, same = seen[hit], others[overlap.argmax(axis=1)[hit]]
        one, two = mine.boxes[again], theirs.boxes[same]
        centres = (two[:, :2] + two[:, 2:] - one[:, :2] - one[:, 2:]) / 2
        moved.append(centres / np.maximum(one[:, 2:] - one[:, :2], 1e-6))
        overlaps.append(overlap.max(axis=1)[hit])
        differences.append(theirs.scores[same] - mine.scores[again])
    return _Pairs(shown, np.concatenate(moved), np.concatenate(overlaps), np.concatenate(differences))


def _failures(before: float | None, after: float | None, empty: float, pairs: _Pairs) -> list[str]:
    told = []
    if not pairs.shown:
        told.append("float32 finds nothing in these images, so that nothing shows what the file finds")
    if before is not None and after is not None and before - after > GREATEST_FALL:
        told.append(f"mAP falls from {before:.4f} to {after:.4f}, at most {GREATEST_FALL} is allowed")
    if pairs.found < LEAST_FOUND:
        told.append(f"{pairs.found:.1%} of {pairs.shown} detections are found again, {LEAST_FOUND:.0%} are wanted")
    if empty > GREATEST_EMPTY:
        told.append(f"{empty:.1%} of the boxes have no area in the picture")
    if pairs.shift > GREATEST_SHIFT:
        told.append(
            f"boxes are moved by {pairs.shift:.1%} of their sides on average, at most {GREATEST_SHIFT:.0%} is allowed"
        )
    if pairs.overlap < LEAST_OVERLAP:
        told.append(f"boxes overlap those of float32 by {pairs.overlap:.2f} on average, {LEAST_OVERLAP} is wanted")
    if abs(pairs.score_shift) > GREATEST_SCORE_SHIFT:
        told.append(
            f"scores are {pairs.score_shift:+.3f} of float32's on average, at most {GREATEST_SCORE_SHIFT} is allowed"
        )
    return told
