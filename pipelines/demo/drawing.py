# SPDX-License-Identifier: Apache-2.0
"""Figures made of flat coloured parts, and the canvas that they are painted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
Point = tuple[float, float]
Image = npt.NDArray[np.uint8]

# Everything is painted this much larger and averaged down: that is what smooths the edges.
SUPERSAMPLING = 2
# Corners beyond this many pixels are moved there: OpenCV takes no larger ones.
FARTHEST = 4096.0


@dataclass(frozen=True)
class Part:
    """One flat shape of a figure, in the figure's own metres: x to the right, y up, the ground at y = 0.

    Attributes:
        points: Corners of a polygon, or of a polyline where `thickness` is positive, or the centre of a disc.
        colour: Blue, green, red.
        radius: Of a disc or ring, in metres; 0 for polygons and lines.
        thickness: Of a line or ring, in metres; 0 fills.
    """

    points: tuple[Point, ...]
    colour: Colour
    radius: float = 0.0
    thickness: float = 0.0

    def extent(self) -> tuple[float, float, float, float]:
        """The smallest rectangle around the painted part: left, bottom, right, top in metres."""
        reach = self.radius + self.thickness / 2
        xs, ys = zip(*self.points, strict=True)
        return min(xs) - reach, min(ys) - reach, max(xs) + reach, max(ys) + reach

    def mirrored(self, squeeze: float, flip: bool) -> Part:
        """The part seen at an angle (narrower by `squeeze`) or from the other side."""
        sign = -squeeze if flip else squeeze
        return replace(self, points=tuple((x * sign, y) for x, y in self.points))


Figure = Sequence[Part]


def extent(figure: Figure) -> tuple[float, float, float, float]:
    """The smallest rectangle around a figure: left, bottom, right, top in metres."""
    lefts, bottoms, rights, tops = zip(*(part.extent() for part in figure), strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


class Canvas:
    """An image that takes coordinates in final pixels, x to the right and y down."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.pixels: Image = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING, 3), np.uint8)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon, convex or not."""
        cv2.fillPoly(self.pixels, [_enlarged(points)], colour)

    def line(self, points: Sequence[Point], colour: Colour, thickness: float) -> None:
        """Draw an open line of at least one final pixel's half."""
        cv2.polylines(self.pixels, [_enlarged(points)], False, colour, max(1, round(thickness * SUPERSAMPLING)))

    def disc(self, centre: Point, radii: Point, colour: Colour, thickness: float = 0.0) -> None:
        """Fill an ellipse, or draw its ring where a thickness is given."""
        x, y = _enlarged([centre])[0].tolist()
        axes = (max(1, round(radii[0] * SUPERSAMPLING)), max(1, round(radii[1] * SUPERSAMPLING)))
        stroke = max(1, round(thickness * SUPERSAMPLING)) if thickness else -1
        cv2.ellipse(self.pixels, (x, y), axes, 0, 0, 360, colour, stroke)

    def shade(self, centre: Point, radii: Point, strength: float) -> None:
        """Darken an ellipse: the soft shadow under a figure."""
        x, y = _enlarged([centre])[0].tolist()
        a, b = max(2, round(radii[0] * SUPERSAMPLING)), max(2, round(radii[1] * SUPERSAMPLING))
        top, left = max(0, y - b), max(0, x - a)
        window = self.pixels[top : y + b + 1, left : x + a + 1]
        if not window.size:
            return
        mask = np.zeros(window.shape[:2], np.uint8)
        cv2.ellipse(mask, (x - left, y - top), (a, b), 0, 0, 360, 255, -1)
        darker = cv2.convertScaleAbs(window, alpha=1 - strength)
        cv2.copyTo(darker, mask, window)

    def figure(self, figure: Figure, foot: Point, scale: float) -> None:
        """Paint a figure that stands at `foot`, `scale` pixels a metre."""
        x0, y0 = foot
        for part in figure:
            points = [(x0 + x * scale, y0 - y * scale) for x, y in part.points]
            if part.radius:
                radius = part.radius * scale
                self.disc(points[0], (radius, radius), part.colour, part.thickness * scale)
            elif part.thickness:
                self.line(points, part.colour, part.thickness * scale)
            else:
                self.polygon(points, part.colour)

    def finished(self) -> Image:
        """The image at its final size, uint8 [height, width, 3], blue-green-red."""
        return np.asarray(
            cv2.resize(self.pixels, (self.width, self.height), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )


def shaded(colour: Colour, factor: float) -> Colour:
    """A colour made darker (below 1) or lighter (above 1)."""
    return (_channel(colour[0] * factor), _channel(colour[1] * factor), _channel(colour[2] * factor))


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """A colour between two others; `share` 0 is the first."""
    b, g, r = (one + (other - one) * share for one, other in zip(first, second, strict=True))
    return (_channel(b), _channel(g), _channel(r))


def _channel(value: float) -> int:
    return int(min(255.0, max(0.0, value)))


def _enlarged(points: Sequence[Point]) -> npt.NDArray[np.int32]:
    # Plain Python: NumPy's own overhead is many times the work on a handful of corners.
    return np.array(
        [(round(_within(x) * SUPERSAMPLING), round(_within(y) * SUPERSAMPLING)) for x, y in points], np.int32
    )


def _within(coordinate: float) -> float:
    return min(FARTHEST, max(-FARTHEST, coordinate))
