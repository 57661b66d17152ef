# SPDX-License-Identifier: Apache-2.0
"""The boxes of one image as bytes: a twentieth of what objects take, in memory and on the way between processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import numpy as np

from training_src.data.dataset import Box

# A box: edges in pixels, `Box.confidence` (not a number where nobody said), and the number in `Box.place`.
PACKED = np.dtype(
    [
        ("xmin", "<f8"),
        ("ymin", "<f8"),
        ("xmax", "<f8"),
        ("ymax", "<f8"),
        ("confidence", "<f8"),
        ("number", "<i8"),
        ("label", "<i4"),
        ("flags", "<i4"),
    ]
)
DIFFICULT, TRUNCATED, CROWD = 1, 2, 4


class PackedBoxes(Sequence[Box]):
    """Boxes that become objects only where somebody looks at one.

    Attributes:
        data: Of the type `PACKED`.
        names: Class names by label.
        place: What stands before a box's number in `Box.place`, such as `annotation`.
    """

    __slots__ = ("data", "names", "place")

    def __init__(self, data: bytes, names: Mapping[int, str], place: str) -> None:
        self.data = data
        self.names = names
        self.place = place

    def __len__(self) -> int:
        return len(self.data) // PACKED.itemsize

    def __iter__(self) -> Iterator[Box]:
        for xmin, ymin, xmax, ymax, confidence, number, label, flags in np.frombuffer(self.data, PACKED).tolist():
            yield Box(
                xmin,
                ymin,
                xmax,
                ymax,
                label,
                self.names[label],
                f"{self.place} {number}",
                bool(flags & DIFFICULT),
                bool(flags & TRUNCATED),
                bool(flags & CROWD),
                None if confidence != confidence else confidence,
            )

    @overload
    def __getitem__(self, place: int) -> Box: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Box]: ...
    def __getitem__(self, place: int | slice) -> Box | Sequence[Box]:
        return tuple(self)[place]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, PackedBoxes | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[type[PackedBoxes], tuple[bytes, Mapping[int, str], str]]:
        return PackedBoxes, (self.data, self.names, self.place)
