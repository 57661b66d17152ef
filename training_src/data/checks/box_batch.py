# SPDX-License-Identifier: Apache-2.0
"""The packed boxes of many images, judged and encoded at once: array operations cost next to nothing a box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.data.checks.policy import Policy
from training_src.data.dataset import LabelledImage
from training_src.data.index import OBJECT
from training_src.data.packed_boxes import CROWD, DIFFICULT, PACKED, TRUNCATED, PackedBoxes
from training_src.data.records.frame import BoxColumns, text_item
from training_src.data.records.protobuf import varint

_Table = NDArray[Any]
# An odd number whose bits look drawn: 2**64 divided by the golden ratio.
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


class BoxBatch:
    """What can be said of images' boxes before the images are opened, if their stated sizes are true.

    Args:
        images: Their boxes are packed.
        policy: Whose thresholds decide.
    """

    def __init__(self, images: Sequence[LabelledImage], policy: Policy) -> None:
        packed = [image.boxes for image in images if isinstance(image.boxes, PackedBoxes)]
        table = np.frombuffer(b"".join([boxes.data for boxes in packed]), PACKED)
        counts = np.array([len(boxes) for boxes in packed], np.int64)
        owner = np.repeat(np.arange(len(packed)), counts)
        sizes = np.array([(image.width, image.height) for image in images], np.float64).reshape(-1, 2)
        ends = np.cumsum(counts)
        self._starts: list[int] = (ends - counts).tolist()
        self._ends: list[int] = ends.tolist()
        self._sound: list[bool] = _sound(table, owner, sizes, policy).tolist()
        self._objects = _objects(table).tobytes()
        with np.errstate(all="ignore"):  # of images without a size nothing is used
            width, height = sizes[owner].T
            self._edges = [
                (table[edge] / side).astype("<f4").tobytes()
                for edge, side in (("xmax", width), ("xmin", width), ("ymax", height), ("ymin", height))
            ]
        self._labels: list[int] = table["label"].tolist()
        self._small = table["label"].astype(np.uint8).tobytes() if max(self._labels, default=0) < 128 else None
        difficult, crowd, truncated = (table["flags"] & flag != 0 for flag in (DIFFICULT, CROWD, TRUNCATED))
        self._flags = [set_.astype(np.uint8).tobytes() for set_ in (difficult, crowd, truncated)]
        scored = ~np.isnan(table["confidence"])
        self._confidences = table["confidence"].astype("<f4").tobytes() if scored.any() else b""
        self._scored: list[bool] = (np.bincount(owner[scored], minlength=len(packed)) > 0).tolist()
        self._names = [boxes.names for boxes in packed]
        self._items: dict[int, dict[int, bytes]] = {}

    def sound(self, image: int) -> bool:
        """Whether nothing can be said against any box of an image."""
        return self._sound[image]

    def objects(self, image: int) -> bytes:
        """An image's boxes as the index keeps them."""
        size = OBJECT.itemsize
        return self._objects[self._starts[image] * size : self._ends[image] * size]

    def columns(self, image: int) -> BoxColumns:
        """An image's boxes as its tf.Example holds them."""
        start, end = self._starts[image], self._ends[image]
        labels = self._labels[start:end]
        xmax, xmin, ymax, ymin = self._edges
        difficult, crowd, truncated = self._flags
        items = self._text_items(self._names[image])
        return BoxColumns(
            end - start,
            xmax[4 * start : 4 * end],
            xmin[4 * start : 4 * end],
            ymax[4 * start : 4 * end],
            ymin[4 * start : 4 * end],
            b"".join(map(varint, labels)) if self._small is None else self._small[start:end],
            b"".join([items[label] for label in labels]),
            self._confidences[4 * start : 4 * end] if self._scored[image] else b"",
            difficult[start:end],
            crowd[start:end],
            truncated[start:end],
        )

    def _text_items(self, names: Mapping[int, str]) -> dict[int, bytes]:
        """Class names on the wire. Images of one file share their mapping, so that its identity will do."""
        items = self._items.get(id(names))
        if items is None:
            items = self._items[id(names)] = {label: text_item(name) for label, name in names.items()}
        return items


def _sound(table: _Table, owner: NDArray[np.int64], sizes: NDArray[np.float64], policy: Policy) -> NDArray[np.bool_]:
    """For each image whether all its boxes pass; see `boxes.plainly_sound`."""
    least, aspect = policy.threshold("box_size", "least"), policy.threshold("box_aspect", "aspect")
    xmin, ymin, xmax, ymax = (table[edge] for edge in ("xmin", "ymin", "xmax", "ymax"))
    width, height = sizes[owner].T
    with np.errstate(all="ignore"):
        across, down = xmax - xmin, ymax - ymin
        fine = (
            (xmin >= 0) & (xmin < xmax) & (xmax <= width) & (ymin >= 0) & (ymin < ymax) & (ymax <= height)
            & (across >= least) & (down >= least) & (across <= aspect * down) & (down <= aspect * across)
            & (xmax + ymax > 2)
        )  # fmt: skip
    sound: NDArray[np.bool_] = (sizes > 0).all(axis=1)  # type: ignore[assignment]
    sound[owner[~fine | _perhaps_repeated(table, owner)]] = False
    return sound


def _perhaps_repeated(table: _Table, owner: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Boxes whose image may hold the same box again, by a hash: whoever is told so looks closely."""
    hashed = owner.astype(np.uint64) * _MIX
    for column in ("label", "xmin", "ymin", "xmax", "ymax"):
        # Adding 0 makes -0.0 and 0.0 one.
        values = table[column].astype(np.uint64) if column == "label" else (table[column] + 0.0).view(np.uint64)
        hashed = (hashed ^ values) * _MIX
        hashed ^= hashed >> _SHIFT
    order = np.argsort(hashed)
    repeated = np.zeros(len(table), bool)
    repeated[order[1:][hashed[order[1:]] == hashed[order[:-1]]]] = True
    return repeated


def _objects(table: _Table) -> NDArray[Any]:
    objects = np.empty(len(table), OBJECT)
    with np.errstate(over="ignore"):
        for column in OBJECT.names or ():
            objects[column] = table[column]
    return objects
