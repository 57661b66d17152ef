# SPDX-License-Identifier: Apache-2.0
"""Ground truth and detections of a set of images, as columns, checked before anything is computed from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training_src.evaluation.errors import EvaluationError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

# hotcoco keeps ids in float32 rows, which hold whole numbers exactly only up to here.
GREATEST_ID = 2**24
# Boxes are fractions of the image; one well outside is a box in pixels.
GREATEST_COORDINATE = 2.0


@dataclass(frozen=True)
class GroundTruth:
    """What is really in `N` images: `M` boxes in columns.

    Attributes:
        sizes: Shape `(N, 2)`, height and width of each image in pixels.
        image_index: Shape `(M,)`, the image (0 to N - 1) of each box.
        boxes: Shape `(M, 4)`, ymin, xmin, ymax, xmax as fractions of the image.
        classes: Shape `(M,)`, label-map ids.
        ignored: Shape `(M,)`, crowds (COCO's `iscrowd`): neither to be found nor false when found.
        source_ids: The images' names, unique; empty when they have none.
        areas: Shape `(M,)`, square pixels by which a box is small, medium or large, where its annotation states them
            (COCO's `area`, that of an outline): not-a-number where one states none, and the box's own area counts.
            None where none does.
    """

    sizes: Integers
    image_index: Integers
    boxes: Floats
    classes: Integers
    ignored: Booleans
    source_ids: tuple[str, ...] = ()
    areas: Floats | None = None

    @classmethod
    def from_images(
        cls,
        sizes: Sequence[tuple[int, int]],
        boxes: Sequence[ArrayLike],
        classes: Sequence[ArrayLike],
        ignored: Sequence[ArrayLike] | None = None,
        source_ids: Iterable[str] = (),
        areas: Sequence[ArrayLike] | None = None,
    ) -> Self:
        """Ground truth from one array an image: boxes `(m, 4)`, classes `(m,)`, ignored `(m,)`, areas `(m,)`."""
        optional = [column for column in (ignored, areas) if column is not None]
        counts = _counts("ground truth", len(sizes), boxes, classes, *optional)
        flags = _column(ignored, bool) if ignored is not None else np.zeros(sum(counts), bool)
        index = np.repeat(np.arange(len(sizes)), counts)
        pixels = np.asarray(sizes, np.int64).reshape(-1, 2)
        stated = None if areas is None else _column(areas, np.float64)
        stated = None if stated is None or np.isnan(stated).all() else stated
        return cls(pixels, index, _rows(boxes), _column(classes, np.int64), flags, tuple(source_ids), stated)

    @property
    def images(self) -> int:
        """How many images there are, those without a box included."""
        return len(self.sizes)

    def square_pixels(self) -> Floats:
        """What decides a box's size, shape `(M,)`: the area that its annotation states, else its own."""
        boxes = to_pixels(self.boxes, self.sizes, self.image_index)
        own = boxes[:, 2] * boxes[:, 3]
        return own if self.areas is None else np.where(np.isfinite(self.areas), self.areas, own)

    def subset(self, images: Booleans) -> Self:
        """What is in some of the images, shape `(N,)`, which are counted anew from 0."""
        kept = images[self.image_index]
        return replace(
            self,
            sizes=self.sizes[images],
            image_index=_counted_anew(images)[self.image_index[kept]],
            boxes=self.boxes[kept],
            classes=self.classes[kept],
            ignored=self.ignored[kept],
            source_ids=tuple(name for name, keep in zip(self.source_ids, images.tolist(), strict=False) if keep),
            areas=None if self.areas is None else self.areas[kept],
        )


@dataclass(frozen=True)
class Detections:
    """What a detector found in a set of images: `M` boxes in columns, as `detections.npz` holds them.

    Attributes:
        image_index: Shape `(M,)`, the image (0 to N - 1) of each box.
        boxes: Shape `(M, 4)`, ymin, xmin, ymax, xmax as fractions of the image.
        scores: Shape `(M,)`, 0 to 1.
        classes: Shape `(M,)`, label-map ids.
    """

    image_index: Integers
    boxes: Floats
    scores: Floats
    classes: Integers

    @classmethod
    def from_images(cls, boxes: Sequence[ArrayLike], scores: Sequence[ArrayLike], classes: Sequence[ArrayLike]) -> Self:
        """Detections from one array an image: boxes `(m, 4)`, scores `(m,)`, classes `(m,)`."""
        counts = _counts("detections", len(boxes), boxes, scores, classes)
        index = np.repeat(np.arange(len(boxes)), counts)
        return cls(index, _rows(boxes), _column(scores, np.float64), _column(classes, np.int64))

    def subset(self, images: Booleans) -> Self:
        """What was found in some of the images, shape `(N,)`, which are counted anew from 0."""
        kept = images[self.image_index]
        index = _counted_anew(images)[self.image_index[kept]]
        return replace(
            self, image_index=index, boxes=self.boxes[kept], scores=self.scores[kept], classes=self.classes[kept]
        )


def check_ground_truth(truth: GroundTruth, label_map: Mapping[int, str]) -> None:
    """Refuse ground truth from which COCO's numbers would be silently wrong.

    Raises:
        EvaluationError: Columns of different lengths, NaN, boxes turned inside out or in pixels, images without size,
            ids that are unknown, too large or there twice; the first such box is named.
    """
    _check_label_map(label_map)
    if truth.images > GREATEST_ID or len(truth.boxes) > GREATEST_ID:
        raise EvaluationError(f"ground truth: ids above {GREATEST_ID} cannot be held exactly; evaluate in parts")
    if truth.sizes.shape != (truth.images, 2) or (truth.sizes <= 0).any():
        raise EvaluationError("ground truth: every image needs a height and a width above 0")
    if truth.source_ids and len(truth.source_ids) != truth.images:
        raise EvaluationError(f"ground truth: {len(truth.source_ids)} source ids for {truth.images} images")
    seen: set[str] = set()
    for name in truth.source_ids:
        if name in seen:
            raise EvaluationError(f'ground truth: two images have the source id "{name}"; each must be there once')
        seen.add(name)
    columns: dict[str, NDArray[Any]] = {"image_index": truth.image_index, "classes": truth.classes}
    columns["ignored"] = truth.ignored
    if truth.areas is not None:
        columns["areas"] = truth.areas
    _check_columns("ground truth", truth.boxes, truth.images, label_map, columns)
    if truth.areas is not None and ((truth.areas < 0) | np.isinf(truth.areas)).any():
        at = int(((truth.areas < 0) | np.isinf(truth.areas)).argmax())
        raise EvaluationError(
            f"ground truth: box {at} (image {truth.image_index[at]}) has the area {truth.areas[at]:g}; "
            "an area is a number of square pixels"
        )


def check_detections(detections: Detections, images: int, label_map: Mapping[int, str]) -> None:
    """Refuse detections from which COCO's numbers would be silently wrong.

    Raises:
        EvaluationError: As `check_ground_truth`, and for scores that are not between 0 and 1.
    """
    columns = {"image_index": detections.image_index, "classes": detections.classes, "scores": detections.scores}
    _check_columns("detections", detections.boxes, images, label_map, columns)
    wrong = ~((detections.scores >= 0) & (detections.scores <= 1))
    if wrong.any():
        at = int(wrong.argmax())
        raise EvaluationError(
            f"detections: box {at} (image {detections.image_index[at]}) has the score {detections.scores[at]}; "
            "a score is a number from 0 to 1"
        )


def rows_by_image(image_index: Integers, images: int) -> list[Integers]:
    """Which rows belong to each image, in their order: one index array an image."""
    order = np.argsort(image_index, kind="stable")
    return np.split(order, np.searchsorted(image_index[order], np.arange(1, images))) if images else []


def intersection_over_union(boxes: Floats, others: Floats, crowd: Booleans | None = None) -> Floats:
    """IoU of boxes `(m, 4)` with others `(n, 4)` (ymin, xmin, ymax, xmax), shape `(m, n)`; 0 where both are empty.

    Of others that are crowds, shape `(n,)`, the share of the box that lies in them counts instead, as COCO counts it.
    """
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    extent = np.clip(np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - corner, 0, None)
    shared = extent.prod(axis=2)
    own = _areas(boxes)[:, None]
    union = own + _areas(others)[None, :] - shared
    union = union if crowd is None else np.where(crowd, own, union)
    return np.asarray(np.where(union > 0, shared / np.where(union > 0, union, 1), 0.0))


def to_pixels(boxes: Floats, sizes: Integers, image_index: Integers) -> Floats:
    """COCO boxes (x, y, width, height in pixels, shape `(M, 4)`) of normalised ymin, xmin, ymax, xmax."""
    height, width = sizes[image_index].T.astype(np.float64)
    ymin, xmin, ymax, xmax = boxes.astype(np.float64).T
    return np.column_stack([xmin * width, ymin * height, (xmax - xmin) * width, (ymax - ymin) * height])


def _counted_anew(images: Booleans) -> Integers:
    """The new index of each image that stays, shape `(N,)`."""
    return np.cumsum(images) - 1


def _areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _check_label_map(label_map: Mapping[int, str]) -> None:
    if not label_map:
        raise EvaluationError("label map: it names no class")
    for number, name in label_map.items():
        if not 0 < number <= GREATEST_ID:
            raise EvaluationError(f'label map: class "{name}" has the id {number}; ids are from 1 to {GREATEST_ID}')
    if len(set(label_map.values())) < len(label_map):
        raise EvaluationError("label map: two ids have the same name")


def _check_columns(
    what: str, boxes: Floats, images: int, label_map: Mapping[int, str], columns: Mapping[str, NDArray[Any]]
) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise EvaluationError(f"{what}: boxes have the shape {boxes.shape}, not (M, 4)")
    for name, column in columns.items():
        if column.shape != (len(boxes),):
            raise EvaluationError(f"{what}: {name} has the shape {column.shape} for {len(boxes)} boxes")
    index, classes = columns["image_index"], columns["classes"]
    for name in ("image_index", "classes"):
        if columns[name].dtype.kind not in "iu":
            raise EvaluationError(f"{what}: {name} holds {columns[name].dtype}, not whole numbers")

    def refuse(wrong: Any, fault: str) -> None:
        if wrong.any():
            at = int(wrong.argmax())
            raise EvaluationError(
                f"{what}: box {at} (image {index[at]}, class {classes[at]}, ymin, xmin, ymax, xmax = "
                f"{', '.join(f'{value:g}' for value in boxes[at])}) {fault}"
            )

    positions, ids = index.astype(np.int64), classes.astype(np.int64)
    refuse((positions < 0) | (positions >= images), f"is of no known image; there are {images}")
    known = ", ".join(str(number) for number in sorted(label_map))
    refuse(~np.isin(ids, list(label_map)), f"has a class that the label map does not have; it has {known}")
    refuse(~np.isfinite(boxes).all(axis=1), "has a coordinate that is not a finite number")
    outside = (np.abs(boxes) > GREATEST_COORDINATE).any(axis=1)
    refuse(outside, "lies far outside its image; coordinates are fractions of the image, not pixels")
    refuse((boxes[:, 2:] < boxes[:, :2]).any(axis=1), "has a negative height or width")


def _counts(what: str, images: int, *columns: Sequence[ArrayLike]) -> list[int]:
    """Boxes in each image, which all columns must agree on."""
    counts = [[len(np.asarray(entry)) for entry in column] for column in columns]
    for other in counts:
        if len(other) != images or other != counts[0]:
            raise EvaluationError(f"{what}: the arrays of {images} images differ in length")
    return counts[0]


def _rows(boxes: Sequence[ArrayLike]) -> Floats:
    parts = [np.asarray(entry, np.float64).reshape(-1, 4) for entry in boxes]
    return np.concatenate(parts) if parts else np.zeros((0, 4))


def _column(entries: Sequence[ArrayLike], dtype: type) -> NDArray[Any]:
    parts: list[NDArray[Any]] = [np.asarray(entry, dtype).reshape(-1) for entry in entries]
    return np.concatenate(parts) if parts else np.zeros(0, dtype)
