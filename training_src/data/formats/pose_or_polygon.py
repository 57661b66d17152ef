# SPDX-License-Identifier: Apache-2.0
"""Whether YOLO's long lines hold a polygon's corners, or a box with a pose's keypoints behind it.

Both are a class and a row of shares, and only `kpt_shape` in data.yaml says which. Where it is missing the numbers of
all lines tell: keypoints have a mark (0, 1, 2, or a confidence) as their third number, they lie in the box in front of
them, and each line has as many; a polygon does not cross itself, and its second corner is near the others.
Sources: https://docs.ultralytics.com/datasets/pose/, https://docs.ultralytics.com/datasets/segment/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["polygons", "poses"]
Shares = Sequence[float]
Point = tuple[float, float]

SHORTEST = 6  # numbers behind the class: a triangle, or a box and a point
# How numbers may follow a box: as points of so many numbers, and so many numbers (a confidence) at the end.
_LAYOUTS = ((3, 0), (2, 0), (3, 1))
_MARKS = frozenset((0.0, 1.0, 2.0))
# What boxes and points may leave their place by, as a share of the image and of the box.
_ROUNDING, _BESIDE = 0.01, 0.1
# Which share of a pose's points lies in its box at least: people mark what a box leaves out, too.
_INSIDE = 0.8
# From which share of the lines on all are taken to be so, and below which none.
_NEARLY_ALL, _HARDLY_ANY = 0.98, 0.02
# Of unmarked poses so many lines must be none but poses, and of all so many at most may be polygons, too.
_FEW_LINES, _SOME = 3, 0.3
# So many lines of so many lengths are looked at closely, and of an outline so many corners: the rest would take long
# and say the same.
_LINES, _LENGTHS, _CORNERS = 2000, 8, 40


@dataclass(frozen=True)
class LineForm:
    """What a data set's long lines hold.

    Attributes:
        kind: See above.
        lengths: How many numbers a pose's line may have behind its class.
        marked: Whether every point of a pose ends with 0, 1 or 2.
    """

    kind: Kind
    lengths: frozenset[int] = frozenset()
    marked: bool = False

    @classmethod
    def stated(cls, kpt_shape: Sequence[int]) -> LineForm:
        """What `kpt_shape` says: how many points, and how many numbers each; nothing makes the lines polygons."""
        if not kpt_shape:
            return cls("polygons")
        points, dimensions = kpt_shape
        length = 4 + points * dimensions
        return cls("poses", frozenset((length, length + 1)))

    def fits(self, shares: Shares) -> bool:
        """Whether a long line is of this form."""
        if self.kind == "polygons":
            return len(shares) % 2 == 0
        return len(shares) in self.lengths and (not self.marked or _MARKS.issuperset(shares[6::3]))


@dataclass
class LongLines:
    """Counts what a data set's long lines may be; memory does not follow their number."""

    count: int = 0
    lengths: Counter[int] = field(default_factory=Counter)
    marked: int = 0
    seen_marks: int = 0
    tracks: int = 0
    looks: dict[int, _Look] = field(default_factory=dict)

    def add(self, shares: Shares) -> None:
        """Count a line of at least six numbers, as shares of the image."""
        length = len(shares)
        self.count += 1
        self.lengths[length] += 1
        if length % 3 == 1 and _MARKS.issuperset(shares[6::3]) and min(shares[2:4]) > 0:
            self.marked += 1
            self.seen_marks += SHORTEST if 2.0 in shares[6::3] else len(shares[6::3])
        self.tracks += length == SHORTEST and 0 <= shares[4] <= 1 and float(shares[5]).is_integer()
        if length in self.looks or len(self.looks) < _LENGTHS:
            self.looks.setdefault(length, _Look(length)).add(shares)

    def form(self) -> LineForm | None:
        """What the lines are; None where they may be either, some are one and some the other, or none is any.

        A tracker writes a confidence and a track's number behind each box.
        """
        if not self.count:
            return LineForm("polygons")
        marked = self.marked / self.count
        if _HARDLY_ANY < marked < _NEARLY_ALL or self.tracks >= _NEARLY_ALL * self.count:
            return None
        certain = self.seen_marks >= SHORTEST or not any(look.polygons for look in self.looks.values())
        if marked >= _NEARLY_ALL and certain:
            return LineForm("poses", frozenset(self.lengths), marked=True)
        length, count = self.lengths.most_common(1)[0]
        if count < _NEARLY_ALL * self.count:  # only polygons have as many numbers as they like
            return None if any(look.like_poses for look in self.looks.values()) else LineForm("polygons")
        look = self.looks.get(length)
        if look is not None and look.like_poses:
            return LineForm("poses", frozenset((length,)))
        return LineForm("polygons") if look is None or look.like_polygons else None

    @property
    def points(self) -> list[int]:
        """`kpt_shape` of the most frequent lines, if they are poses."""
        length = self.lengths.most_common(1)[0][0] - 4
        return [length // 3, 3] if length % 3 == 0 else [length // 2, 2]


@dataclass
class _Look:
    """What lines of one length can be, by the first of them."""

    length: int
    lines: int = 0
    polygons: int = 0
    parallelograms: int = 0
    layouts: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, shares: Shares) -> None:
        """Look at a line closely, if it is one of the first."""
        if self.lines == _LINES:
            return
        self.lines += 1
        self.layouts.update(layout for layout in _LAYOUTS if _is_pose(shares, *layout))
        points = list(zip(shares[::2], shares[1::2], strict=False))
        self.polygons += len(shares) % 2 == 0 and _is_near(points) and _is_simple(points)
        self.parallelograms += len(points) == 4 and _is_parallelogram(points)

    @property
    def like_poses(self) -> bool:
        """Whether most lines can be poses, and some certainly are no polygons."""
        # A box and a point are three pairs of numbers, which are a triangle always.
        never_polygons = self.lines * (1 - self._polygon) if self.length != SHORTEST else 0
        never = self._is_odd or never_polygons >= _FEW_LINES
        return self._pose >= 1 - _SOME and self._polygon <= _SOME and never

    @property
    def like_polygons(self) -> bool:
        """Whether most lines can be polygons, and some certainly are no poses."""
        turned = self.parallelograms >= _NEARLY_ALL * self.lines
        never_poses = self.lines * (1 - self._pose)
        certain = self._pose < _HARDLY_ANY or (never_poses >= _FEW_LINES and self._pose < self._polygon)
        # An odd count is neither, which each line is blamed for.
        return self._is_odd or turned or (self._polygon >= 1 - _SOME and certain)

    @property
    def _is_odd(self) -> bool:
        return self.length % 2 == 1

    @property
    def _pose(self) -> float:
        return max(self.layouts.values(), default=0) / self.lines

    @property
    def _polygon(self) -> float:
        return self.polygons / self.lines


def _is_pose(shares: Shares, dimensions: int, behind: int) -> bool:
    """Whether a line is a box in the image, points of so many numbers in it, and so many numbers behind them."""
    end = len(shares) - behind
    if (end - 4) % dimensions or any(not 0 <= one <= 1 for one in shares[end:]):
        return False
    x, y, wide, high = shares[:4]
    if not (0 < wide <= 1 + _ROUNDING and 0 < high <= 1 + _ROUNDING):
        return False
    if any(not half - _ROUNDING <= at <= 1 - half + _ROUNDING for at, half in ((x, wide / 2), (y, high / 2))):
        return False
    marks = shares[6:end:3] if dimensions == 3 else []
    if any(not 0 <= mark <= 1 and mark != 2 for mark in marks):
        return False
    across, along = wide * (0.5 + _BESIDE) + _ROUNDING, high * (0.5 + _BESIDE) + _ROUNDING
    points = list(zip(shares[4:end:dimensions], shares[5:end:dimensions], strict=False))
    # A point that nobody saw stands at the origin.
    inside = sum((abs(a - x) <= across and abs(b - y) <= along) or a == b == 0 for a, b in points)
    return inside >= _INSIDE * len(points)


def _is_near(points: Sequence[Point]) -> bool:
    """Whether the second corner lies where the others do, as a box's width and height would not."""
    (a, b), others = points[1], [points[0], *points[2:]]
    for value, others_values in ((a, [x for x, _ in others]), (b, [y for _, y in others])):
        least, greatest = min(others_values), max(others_values)
        beside = greatest - least + _ROUNDING
        if not least - beside <= value <= greatest + beside:
            return False
    return True


def _is_simple(points: Sequence[Point]) -> bool:
    """Whether no two sides cross."""
    corners = points[:_CORNERS]
    sides = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    return not any(_cross(*sides[a], *sides[b]) for a in range(len(sides)) for b in range(a + 2, len(sides)))


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether two lines between points cross in their midst."""
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _is_parallelogram(points: Sequence[Point]) -> bool:
    """Whether four corners are those of a box that was turned, as oriented boxes are written."""
    (a, b), (c, d), (e, f), (g, h) = points
    return abs(a + e - c - g) <= _ROUNDING and abs(b + f - d - h) <= _ROUNDING
