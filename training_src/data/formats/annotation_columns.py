# SPDX-License-Identifier: Apache-2.0
"""Many annotations of an instances file at once, where each is as nearly all are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct, ValidationError, convert
from msgspec.json import Decoder
from numpy.typing import NDArray

from training_src.data.formats.fields import GREATEST, confidence, flag
from training_src.data.packed_boxes import CROWD, DIFFICULT, PACKED, TRUNCATED

_Edge = Annotated[float, Meta(gt=-GREATEST, lt=GREATEST)]


class PlainAnnotation(Struct, gc=False):
    """An annotation against which nothing can be said; whatever else stands in it does not matter.

    Attributes:
        image_id: A whole number of at most 63 bits.
        category_id: Of at most 31.
        bbox: Four finite numbers.
        iscrowd, difficult, ignore, truncated: See `fields.flag`.
        score: See `fields.confidence`.
    """

    image_id: Annotated[int, Meta(gt=-(1 << 63), le=(1 << 63) - 1)]
    category_id: Annotated[int, Meta(gt=-(1 << 31), lt=1 << 31)]
    bbox: tuple[_Edge, _Edge, _Edge, _Edge]
    iscrowd: Any = None
    difficult: Any = None
    ignore: Any = None
    truncated: Any = None
    score: Any = None


PLAIN_ANNOTATIONS = Decoder(list[PlainAnnotation])

_FLAGS = (("iscrowd", CROWD), ("difficult", DIFFICULT), ("ignore", DIFFICULT), ("truncated", TRUNCATED))


def annotation_columns(
    elements: Sequence[Any], edges: Callable[[Any], Any]
) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
    """Images' ids [N], and boxes [N] of the type `PACKED` with category ids as labels; `number` is left to the caller.

    Args:
        elements: Of the list of annotations, N: plain ones, or as JSON has them.
        edges: Makes the columns xmin, ymin, xmax, ymax of those of the `bbox`es.

    Returns:
        None where an element is not plain.
    """
    if not isinstance(elements[0], PlainAnnotation):
        try:
            elements = convert(elements, list[PlainAnnotation])
        except ValidationError:
            return None
    count = len(elements)
    table = np.zeros(count, PACKED)
    boxes = np.fromiter(chain.from_iterable([element.bbox for element in elements]), np.float64, 4 * count)
    for column, edge in zip(("xmin", "ymin", "xmax", "ymax"), edges(tuple(boxes.reshape(-1, 4).T)), strict=True):
        table[column] = edge
    table["label"] = [element.category_id for element in elements]
    for name, bit in _FLAGS:
        values = list(map(attrgetter(name), elements))
        if any(values):
            table["flags"] |= np.array([bit * flag(value) for value in values], np.int32)
    scores = [element.score for element in elements]
    scored = scores.count(None) < count
    table["confidence"] = np.array([confidence(score) for score in scores], np.float64) if scored else np.nan
    return np.array([element.image_id for element in elements], np.int64), table
