# SPDX-License-Identifier: Apache-2.0
"""Whether an `annotations.json` is COCO's, whose boxes are `[x, y, width, height]`, or SageMaker's, which has corners.

Both hold `images`, `annotations` and `categories`, and both lie beside `images/`. A box that leaves its image, or is
turned inside out, read one way and not the other tells, and so does an area or an outline that is that of the box read
one way; where none does, the keys tell: COCO's annotations have ids, and the built-in algorithm's documentation shows
neither these nor categories.
Sources: https://cocodataset.org/#format-data,
https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-tensorflow-inputoutput.html
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from training_src.data.formats.fields import GREATEST, AnnotationError, Edges, four_numbers, identifier, number, size
from training_src.data.formats.json_stream import elements
from training_src.data.spill import Spill

Convention = Literal["coco", "sagemaker_builtin", "either"]

# So many boxes are looked at; of these a few may be wrong either way.
_BOXES = 5000
_FAULTY = 0.02
# What a box may leave its image by.
_TOLERANCE = 2
# So many boxes at least, and so large a share of all, must be wrong as sizes where no area or outline says it.
_FEW, _MOST = 3, 0.5
# By which share an area may differ from a box's own.
_SAME = 1e-3
_COCO_ONLY = frozenset(("id", "area", "segmentation", "iscrowd"))


def are_corners(file: Path) -> bool:
    """Whether what a COCO file says of its boxes makes sense only if they are corners."""
    seen = _Seen()
    with suppress(ValueError, OSError):  # the reader names what is wrong with it
        for key, element in elements(file):
            seen.add(key, element)
            if seen.has_all_boxes:
                break
    told = _told(seen)
    certain = told.stated_corners or told.corners >= max(_FEW, _MOST * len(seen.boxes))
    return bool(certain) and told.sizes <= _FAULTY * told.corners


def convention_of(file: Path) -> Convention:
    """How the boxes of a JSON file are written; "either" where both readings fit all that it says."""
    facts = file.stat()
    return _convention_of(file, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=64)
def _convention_of(file: Path, *_: int) -> Convention:
    seen = _Seen()
    asked = False
    try:
        for key, element in elements(file):
            seen.add(key, element)
            if seen.has_all_boxes and not asked:
                asked = True  # what follows may name the classes, which matters only where this tells nothing
                if told := _by_boxes(seen) or ("coco" if seen.marked else None):
                    return told
    except (ValueError, OSError):
        pass  # the reader names what is wrong with it
    by_keys: Convention = "either" if seen.named and not seen.from_zero else "sagemaker_builtin"
    return _by_boxes(seen) or ("coco" if seen.marked else by_keys)


@dataclass
class _Seen:
    """What was read of a file so far.

    Attributes:
        boxes: The first annotations' images and boxes, and whether what is said of the box makes it corners or sizes.
        sizes: By image: of all where the images come first, else of those that the boxes are in.
        missing: Images of the boxes whose sizes may come yet.
        marked: Whether annotations have keys that only COCO's have.
        named: Whether there are categories.
        from_zero: Whether a category's id is 0.
    """

    boxes: list[tuple[Any, Any, Convention]] = field(default_factory=list)
    sizes: Spill = field(default_factory=Spill)
    missing: set[int | str] = field(default_factory=set)
    marked: bool = False
    named: bool = False
    from_zero: bool = False
    _images_first: bool = False

    @property
    def has_all_boxes(self) -> bool:
        """Whether as many boxes were read as are looked at, and the sizes of their images."""
        return len(self.boxes) >= _BOXES and not self.missing

    def add(self, key: str, element: Any) -> None:
        """Take an element of one of the file's lists."""
        if not isinstance(element, dict):
            return
        if key == "images":
            self._add_size(element)
        elif key == "annotations" and len(self.boxes) < _BOXES:
            self._add_box(element)
        elif key == "categories":
            self.named, self.from_zero = True, self.from_zero or element.get("id") == 0

    def _add_size(self, image: dict[str, Any]) -> None:
        self._images_first = self._images_first or not self.boxes
        with suppress(AnnotationError):
            key, sides = identifier(image.get("id")), size(image.get("width"), image.get("height"))
            if self._images_first or key in self.missing:
                self.sizes.add(key, sides)
                self.missing.discard(key)

    def _add_box(self, annotation: dict[str, Any]) -> None:
        self.marked = self.marked or bool(_COCO_ONLY & annotation.keys())
        self.from_zero = self.from_zero or annotation.get("category_id") == 0
        self.boxes.append((annotation.get("image_id"), annotation.get("bbox"), _stated(annotation)))
        if not self._images_first:
            with suppress(AnnotationError):
                self.missing.add(identifier(annotation.get("image_id")))


class _Told(NamedTuple):
    """How many boxes make sense only as corners, and only as sizes; and of how many an area or outline says corners."""

    corners: int
    sizes: int
    stated_corners: int


def _by_boxes(seen: _Seen) -> Convention | None:
    """What the boxes themselves tell; None where they fit both ways, or neither."""
    told = _told(seen)
    if min(told.corners, told.sizes) > _FAULTY * max(told.corners, told.sizes):
        return "either"
    if told.corners == told.sizes:
        return None
    return "sagemaker_builtin" if told.corners > told.sizes else "coco"


def _told(seen: _Seen) -> _Told:
    corners = sizes = stated_corners = 0
    for image, bbox, stated in seen.boxes:
        try:
            edges, known = four_numbers(bbox), seen.sizes.rows(identifier(image))
        except AnnotationError:
            continue
        as_corners, as_sizes = _fits(edges, known), _fits(_from_sizes(edges), known)
        if as_corners and as_sizes:
            as_corners, as_sizes = stated != "coco", stated != "sagemaker_builtin"
            stated_corners += not as_sizes
        corners += as_corners and not as_sizes
        sizes += as_sizes and not as_corners
    return _Told(corners, sizes, stated_corners)


def _stated(annotation: dict[str, Any]) -> Convention:
    """What an annotation's area or outline makes of its box; "either" where they say nothing."""
    try:
        edges = four_numbers(annotation.get("bbox"))
        found = [_by_outline(edges, annotation.get("segmentation")), _by_area(edges, annotation.get("area"))]
    except AnnotationError:
        return "either"
    return next((one for one in found if one != "either"), "either")


def _by_area(edges: Edges, area: Any) -> Convention:
    if isinstance(area, bool) or not isinstance(area, int | float) or not 0 < area < GREATEST:
        return "either"
    xmin, ymin, third, fourth = edges
    corners = math.isclose(area, (third - xmin) * (fourth - ymin), rel_tol=_SAME)
    lengths = math.isclose(area, third * fourth, rel_tol=_SAME)
    return "either" if corners == lengths else "sagemaker_builtin" if corners else "coco"


def _by_outline(edges: Edges, segmentation: Any) -> Convention:
    """By polygons, each a list x1, y1, x2, y2, ..."""
    polygons = [one for one in segmentation if isinstance(one, list)] if isinstance(segmentation, list) else []
    across = [number(value) for polygon in polygons for value in polygon[::2]]
    along = [number(value) for polygon in polygons for value in polygon[1::2]]
    if len(across) < 3 or len(across) != len(along):
        return "either"
    around = (min(across), min(along), max(across), max(along))
    corners = all(abs(one - other) <= _TOLERANCE for one, other in zip(around, edges, strict=True))
    lengths = all(abs(one - other) <= _TOLERANCE for one, other in zip(around, _from_sizes(edges), strict=True))
    return "either" if corners == lengths else "sagemaker_builtin" if corners else "coco"


def _from_sizes(values: Edges) -> Edges:
    x, y, width, height = values
    return x, y, x + width, y + height


def _fits(edges: Edges, known: list[tuple[int, int]]) -> bool:
    """Whether xmin, ymin, xmax, ymax are a box, and one within its image where the image's size is known."""
    xmin, ymin, xmax, ymax = edges
    width, height = known[0] if known else (0, 0)
    inside = (xmax <= width + _TOLERANCE or not width) and (ymax <= height + _TOLERANCE or not height)
    return xmin < xmax and ymin < ymax and inside
