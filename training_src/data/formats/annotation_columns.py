# SPDX-License-Identifier: Apache-2.0
"""Many annotations of an instances file at once, where each is as nearly all are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.data.formats.fields import GREATEST, confidence, flag
from training_src.data.packed_boxes import CROWD, DIFFICULT, PACKED, TRUNCATED

_FLAGS = (("iscrowd", CROWD), ("difficult", DIFFICULT), ("ignore", DIFFICULT), ("truncated", TRUNCATED))
_NUMBERS = {int, float}
_NO = {0, None}


def annotation_columns(
    elements: Sequence[Any], edges: Callable[[Any], Any]
) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
    """Images' ids [N], and boxes [N] of the type `PACKED` with category ids as labels; `number` is left to the caller.

    Args:
        elements: of the list of annotations, N.
        edges: makes the columns xmin, ymin, xmax, ymax of those of the `bbox`es.

    Returns:
        None where an element is not plainly right: an id that is no whole number, not four finite numbers, ...
    """
    if set(map(type, elements)) != {dict}:
        return None
    keys = set().union(*elements)
    if not {"image_id", "category_id", "bbox"} <= keys:
        return None
    try:
        images = [element["image_id"] for element in elements]
        categories = [element["category_id"] for element in elements]
        boxes = [element["bbox"] for element in elements]
    except KeyError:
        return None
    plain = {*map(type, images), *map(type, categories)} == {int} and set(map(type, boxes)) == {list}
    if not plain or set(map(len, boxes)) != {4}:
        return None
    numbers = list(chain.from_iterable(boxes))
    if not set(map(type, numbers)) <= _NUMBERS:
        return None
    try:
        ids, labels = np.array(images, np.int64), np.array(categories, np.int64)
        values = np.array(numbers, np.float64).reshape(-1, 4)
    except OverflowError:
        return None
    # The least number of 64 bits is its own absolute value.
    if ids.min() == np.iinfo(np.int64).min or labels.min() <= -(1 << 31) or labels.max() >= 1 << 31:
        return None
    if not np.abs(values).max() < GREATEST:  # so it is with not-a-number, too
        return None
    table = np.zeros(len(elements), PACKED)
    for column, edge in zip(("xmin", "ymin", "xmax", "ymax"), edges(tuple(values.T)), strict=True):
        table[column] = edge
    table["label"] = labels
    for name, bit in _FLAGS:
        if name in keys:
            table["flags"] |= _flags([element.get(name) for element in elements], bit)
    scores = [confidence(element.get("score")) for element in elements] if "score" in keys else None
    table["confidence"] = np.nan if scores is None else np.array(scores, np.float64)
    return ids, table


def _flags(values: Sequence[Any], bit: int) -> NDArray[np.int32]:
    """The bit where an annotation says yes."""
    if set(map(type, values)) <= {int, type(None)} and set(values) <= _NO:
        return np.zeros(len(values), np.int32)
    return np.array([bit * flag(value) for value in values], np.int32)
