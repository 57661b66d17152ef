# SPDX-License-Identifier: Apache-2.0
"""Whether an `annotations.json` is COCO's, whose boxes are `[x, y, width, height]`, or SageMaker's, which has corners.

Both hold `images`, `annotations` and `categories`, and both lie beside `images/`. A box that leaves its image, or is
turned inside out, read one way and not the other tells; where none does, the keys tell: COCO's annotations have ids,
and the built-in algorithm's documentation shows neither these nor categories.
Sources: https://cocodataset.org/#format-data,
https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-tensorflow-inputoutput.html
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from training_src.data.formats.fields import AnnotationError, Edges, four_numbers, identifier, size
from training_src.data.formats.json_stream import elements
from training_src.data.spill import Spill

Convention = Literal["coco", "sagemaker_builtin", "either"]

# So many boxes are looked at; of these a few may be wrong either way.
_BOXES = 5000
_FAULTY = 0.02
# What a box may leave its image by.
_TOLERANCE = 2
_COCO_ONLY = frozenset(("id", "area", "segmentation", "iscrowd"))


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
                if told := _by_boxes(seen.boxes, seen.sizes) or ("coco" if seen.marked else None):
                    return told
    except (ValueError, OSError):
        pass  # the reader names what is wrong with it
    by_keys: Convention = "either" if seen.named and not seen.from_zero else "sagemaker_builtin"
    return _by_boxes(seen.boxes, seen.sizes) or ("coco" if seen.marked else by_keys)


@dataclass
class _Seen:
    """What was read of a file so far.

    Attributes:
        boxes: The first annotations' images and boxes.
        sizes: By image: of all where the images come first, else of those that the boxes are in.
        missing: Images of the boxes whose sizes may come yet.
        marked: Whether annotations have keys that only COCO's have.
        named: Whether there are categories.
        from_zero: Whether a category's id is 0.
    """

    boxes: list[tuple[Any, Any]] = field(default_factory=list)
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
        self.boxes.append((annotation.get("image_id"), annotation.get("bbox")))
        if not self._images_first:
            with suppress(AnnotationError):
                self.missing.add(identifier(annotation.get("image_id")))


def _by_boxes(boxes: list[tuple[Any, Any]], sizes: Spill) -> Convention | None:
    """What the boxes themselves tell; None where they fit both ways, or neither."""
    only_corners = only_sizes = 0
    for image, bbox in boxes:
        try:
            edges, known = four_numbers(bbox), sizes.rows(identifier(image))
        except AnnotationError:
            continue
        first, second, third, fourth = edges
        corners = _fits(edges, known)
        lengths = _fits((first, second, first + third, second + fourth), known)
        only_corners += corners and not lengths
        only_sizes += lengths and not corners
    if min(only_corners, only_sizes) > _FAULTY * max(only_corners, only_sizes):
        return "either"
    if only_corners == only_sizes:
        return None
    return "sagemaker_builtin" if only_corners > only_sizes else "coco"


def _fits(edges: Edges, known: list[tuple[int, int]]) -> bool:
    """Whether xmin, ymin, xmax, ymax are a box, and one within its image where the image's size is known."""
    xmin, ymin, xmax, ymax = edges
    width, height = known[0] if known else (0, 0)
    inside = (xmax <= width + _TOLERANCE or not width) and (ymax <= height + _TOLERANCE or not height)
    return xmin < xmax and ymin < ymax and inside
