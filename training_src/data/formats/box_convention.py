# SPDX-License-Identifier: Apache-2.0
"""Whether an `annotations.json` is COCO's, whose boxes are `[x, y, width, height]`, or SageMaker's, which has corners.

Both hold `images`, `annotations` and `categories`, and both lie beside `images/`. A box that leaves its image, or is
turned inside out, read one way and not the other tells; where none does, the keys tell: COCO's annotations have ids,
and the built-in algorithm's documentation shows neither these nor categories.
Sources: https://cocodataset.org/#format-data,
https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-tensorflow-inputoutput.html
"""

from __future__ import annotations

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
    sizes = Spill()
    boxes: list[tuple[Any, Any]] = []
    marked = named = from_zero = False
    try:
        for key, element in elements(file):
            if not isinstance(element, dict):
                continue
            if key == "images":
                _add_size(sizes, element)
            elif key == "annotations" and len(boxes) < _BOXES:
                marked = marked or bool(_COCO_ONLY & element.keys())
                from_zero = from_zero or element.get("category_id") == 0
                boxes.append((element.get("image_id"), element.get("bbox")))
            elif key == "categories":
                named, from_zero = True, from_zero or element.get("id") == 0
    except (ValueError, OSError):
        pass  # the reader names what is wrong with it
    return _by_boxes(boxes, sizes) or (
        "coco" if marked else "either" if named and not from_zero else "sagemaker_builtin"
    )


def _add_size(sizes: Spill, image: dict[str, Any]) -> None:
    try:
        sizes.add(identifier(image.get("id")), size(image.get("width"), image.get("height")))
    except AnnotationError:
        return


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
