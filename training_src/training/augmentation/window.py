# SPDX-License-Identifier: Apache-2.0
"""An image of which a window is seen: cropped, flipped, padded and scaled, but not yet copied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
Boxes: TypeAlias = NDArray[np.float64]
Colour: TypeAlias = tuple[int, int, int]

BLACK: Colour = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Window:
    """A window on an image, and the canvas onto which it is drawn.

    Attributes:
        pixels: `(h, w, 3)` uint8, never written to.
        height, width: The canvas's, in pixels; only fractions of it depend on them until it is drawn.
        edges: Where the canvas's top, left, bottom and right edge lie in `pixels`. Swapped ones mean a flip; what lies
            outside of `pixels` is padding.
        fill: The padding's colour.
        boxes: `(boxes, 4)`: ymin, xmin, ymax, xmax as shares of the canvas.
        rows: `(boxes,)`: which of the first boxes these are.
    """

    pixels: Pixels
    height: int
    width: int
    edges: tuple[float, float, float, float]
    fill: Colour
    boxes: Boxes
    rows: NDArray[np.int64]

    @staticmethod
    def of(pixels: Pixels, boxes: NDArray[Any]) -> Window:
        """All of an image."""
        height, width = pixels.shape[:2]
        rows = np.arange(len(boxes))
        return Window(pixels, height, width, (0.0, 0.0, height, width), BLACK, boxes.astype(np.float64), rows)

    def through(
        self,
        part: tuple[float, float, float, float],
        size: tuple[int, int],
        overlap: float = 0.0,
        *,
        clip: bool = True,
        fill: Colour = BLACK,
    ) -> Window:
        """A part of the canvas as a new one.

        Args:
            part: ymin, xmin, ymax, xmax as shares of this canvas; it may reach beyond it.
            size: The new canvas's height and width.
            overlap: Boxes of which a smaller share is left are dropped, and so are those of which nothing is.
            clip: Whether boxes end where the canvas does.
            fill: What is seen beyond this canvas.
        """
        ymin, xmin, ymax, xmax = part
        window = self._surrounded_by(fill) if min(part) < 0 or max(part) > 1 else self
        top, left, bottom, right = window.edges
        down, across = bottom - top, right - left
        edges = (top + ymin * down, left + xmin * across, top + ymax * down, left + xmax * across)
        boxes = (window.boxes - (ymin, xmin) * 2) / ((ymax - ymin, xmax - xmin) * 2)
        inside = np.clip(boxes, 0.0, 1.0)
        seen = ((inside[:, 2:] > inside[:, :2]) | (boxes[:, 2:] == boxes[:, :2])).all(axis=1)
        kept = seen & (_areas(inside) >= overlap * _areas(boxes))
        return replace(
            window,
            height=size[0],
            width=size[1],
            edges=edges,
            boxes=(inside if clip else boxes)[kept],
            rows=window.rows[kept],
        )

    def framed(self, offset: tuple[int, int], size: tuple[int, int], fill: Colour) -> Window:
        """This canvas on a larger one.

        Args:
            offset: Of its upper left corner, y and x, in pixels.
            size: The larger one's height and width.
            fill: What surrounds it.
        """
        ymin, xmin = -offset[0] / self.height, -offset[1] / self.width
        part = (ymin, xmin, ymin + size[0] / self.height, xmin + size[1] / self.width)
        return self.through(part, size, clip=False, fill=fill)

    def flipped(self, *, vertically: bool = False) -> Window:
        """Its mirror image: left and right, or top and bottom, change places."""
        ymin, xmin, ymax, xmax = self.boxes.T
        top, left, bottom, right = self.edges
        if vertically:
            return replace(
                self, edges=(bottom, left, top, right), boxes=np.stack([1 - ymax, xmin, 1 - ymin, xmax], axis=1)
            )
        return replace(self, edges=(top, right, bottom, left), boxes=np.stack([ymin, 1 - xmax, ymax, 1 - xmin], axis=1))

    def rotated(self) -> Window:
        """Turned by 90 degrees, counter-clockwise."""
        ymin, xmin, ymax, xmax = self.boxes.T
        top, left, bottom, right = self.edges
        edge = self.pixels.shape[1]
        return replace(
            self,
            pixels=np.asarray(cv2.rotate(self.pixels, cv2.ROTATE_90_COUNTERCLOCKWISE), np.uint8),
            height=self.width,
            width=self.height,
            edges=(edge - right, top, edge - left, bottom),
            boxes=np.stack([1 - xmax, ymin, 1 - xmin, ymax], axis=1),
        )

    def mean_colour(self) -> Colour:
        """Of all that is seen."""
        window = self.drawn() if self._padded else self
        rows = _Placement.of(window.edges[0], window.edges[2], window.pixels.shape[0], window.height)
        columns = _Placement.of(window.edges[1], window.edges[3], window.pixels.shape[1], window.width)
        red, green, blue = cv2.mean(window.pixels[rows.taken, columns.taken])[:3]
        return round(red), round(green), round(blue)

    def drawn(self, size: tuple[int, int] | None = None) -> Window:
        """The canvas as an image of its own, of its own size unless another is given.

        The window is rounded to whole pixels of both images, and the boxes follow that rounding. All of an image is
        sampled where evaluation and serving sample it, so that a network is trained on what it will see; a part of it,
        whose edges are random, a half pixel beside it, which is faster.
        """
        height, width = size or (self.height, self.width)
        rows = _Placement.of(self.edges[0], self.edges[2], self.pixels.shape[0], height)
        columns = _Placement.of(self.edges[1], self.edges[3], self.pixels.shape[1], width)
        if rows.whole(self.pixels.shape[0]) and columns.whole(self.pixels.shape[1]):
            image = _sampled(self.pixels, rows, columns)
            return Window(image, height, width, (0.0, 0.0, height, width), BLACK, self.boxes, self.rows)
        part = self.pixels[rows.taken, columns.taken]
        extent = (columns.drawn.stop - columns.drawn.start, rows.drawn.stop - rows.drawn.start)
        if (part.shape[1], part.shape[0]) != extent:
            part = np.asarray(cv2.resize(part, extent, interpolation=cv2.INTER_LINEAR), np.uint8)
        if extent != (width, height):
            borders = (rows.drawn.start, height - rows.drawn.stop, columns.drawn.start, width - columns.drawn.stop)
            part = np.asarray(cv2.copyMakeBorder(part, *borders, cv2.BORDER_CONSTANT, value=self.fill), np.uint8)
        if rows.flipped or columns.flipped:
            part = np.asarray(cv2.flip(part, _FLIPS[rows.flipped, columns.flipped]), np.uint8)
        exact = np.empty_like(self.boxes)
        exact[:, 0::2] = rows.moved(self.boxes[:, 0::2])
        exact[:, 1::2] = columns.moved(self.boxes[:, 1::2])
        inside = (self.boxes >= 0) & (self.boxes <= 1)
        boxes = np.where(inside, np.clip(exact, 0.0, 1.0), exact)
        return Window(part, height, width, (0.0, 0.0, height, width), BLACK, boxes, self.rows)

    @property
    def _padded(self) -> bool:
        """Whether something outside of the image is seen."""
        return any(low < 0 or high > size for low, high, size in self._extents())

    def _surrounded_by(self, fill: Colour) -> Window:
        """The same canvas with `fill` beyond it, whatever of the image was cut off there before."""
        whole = all(low <= 0 and high >= size for low, high, size in self._extents())
        window = self if whole and (fill == self.fill or not self._padded) else self.drawn()
        return replace(window, fill=fill)

    def _extents(self) -> tuple[tuple[float, float, int], tuple[float, float, int]]:
        """For each axis the window's lower and upper edge in the image, and the image's size."""
        top, left, bottom, right = self.edges
        height, width = self.pixels.shape[:2]
        return (min(top, bottom), max(top, bottom), height), (min(left, right), max(left, right), width)


def _sampled(pixels: Pixels, rows: _Placement, columns: _Placement) -> Pixels:
    """All of an image, flipped and then resized bilinearly without half-pixel centres, as detectors resize."""
    if (rows.size, columns.size) == pixels.shape[:2]:
        flip = _FLIPS.get((rows.flipped, columns.flipped))
        return pixels if flip is None else np.asarray(cv2.flip(pixels, flip), np.uint8)
    (across, left), (down, top) = columns.source(), rows.source()
    matrix = np.array([[across, 0.0, left], [0.0, down, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(pixels, matrix, (columns.size, rows.size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.uint8)


# OpenCV's codes, by whether rows and columns change places.
_FLIPS = {(True, False): 0, (False, True): 1, (True, True): -1}


@dataclass(frozen=True, slots=True)
class _Placement:
    """Which pixels of an image go where on a canvas, along one axis.

    Attributes:
        first, last: The canvas's edges in the image, in pixels; `first` may be the greater.
        taken: The image's pixels.
        drawn: Where they go, before a flip.
        size: The canvas's.
    """

    first: float
    last: float
    taken: slice
    drawn: slice
    size: int

    @staticmethod
    def of(first: float, last: float, available: int, size: int) -> _Placement:
        low, high = min(first, last), max(first, last)
        seen = min(max(low, 0.0), available), min(max(high, 0.0), available)
        begin = min(round(seen[0]), available - 1)
        end = max(round(seen[1]), begin + 1)
        scale = size / (high - low)
        start = min(max(round((seen[0] - low) * scale), 0), size - 1)
        stop = min(max(round((seen[1] - low) * scale), start + 1), size)
        return _Placement(first, last, slice(begin, end), slice(start, stop), size)

    @property
    def flipped(self) -> bool:
        return self.first > self.last

    def whole(self, available: int) -> bool:
        """Whether all of the image fills all of the canvas, and nothing else does."""
        edges = {self.first, self.last}
        return edges == {0.0, float(available)} and self.drawn == slice(0, self.size)

    def source(self) -> tuple[float, float]:
        """How far one pixel of the canvas is from the next in the image, and where the first one lies."""
        step = (self.taken.stop - self.taken.start) / self.size
        return (-step, self.taken.stop - 1.0) if self.flipped else (step, 0.0)

    def moved(self, shares: Boxes) -> Boxes:
        """Coordinates on the canvas as it was meant, as those on the canvas as it is drawn."""
        places = self.first + shares * (self.last - self.first)
        scale = (self.drawn.stop - self.drawn.start) / (self.taken.stop - self.taken.start)
        drawn = (self.drawn.start + (places - self.taken.start) * scale) / self.size
        return np.asarray(1 - drawn if self.flipped else drawn)


def _areas(boxes: Boxes) -> Boxes:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
