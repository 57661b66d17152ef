# SPDX-License-Identifier: Apache-2.0
"""Several trainings' curves in one picture: a panel a quantity, a colour an execution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.client.curves import Curves, Points
from pipelines.display.pictures import FONT, PALETTE, Picture

WIDTH, PANEL = 1200, 400
LEFT, RIGHT, TOP, BOTTOM = 90, 60, 46, 46
LEGEND = 28
INK, FAINT, PAPER = (40, 40, 40), (225, 225, 225), (255, 255, 255)
PANELS = (
    ("training", "loss", "training loss"),
    ("validation", "loss", "validation loss"),
    ("validation", "mAP", "validation mAP"),
    ("training", "learning_rate", "learning rate"),
)


def draw(curves: Mapping[str, Curves]) -> Picture | None:
    """The trainings' curves, by the names under which the legend shows them; None where none has any.

    Returns:
        A panel below the other for each quantity that at least one of them has, steps from left to right.
    """
    panels = []
    for group, name, title in PANELS:
        lines = {who: getattr(each, group).get(name, []) for who, each in curves.items()}
        if any(lines.values()):
            panels.append((title, lines))
    if not panels:
        return None
    legend = 16 + LEGEND * len(curves)
    canvas = np.full((legend + PANEL * len(panels), WIDTH, 3), PAPER, np.uint8)
    for row, who in enumerate(curves):
        middle = 20 + LEGEND * row
        cv2.line(canvas, (LEFT, middle), (LEFT + 36, middle), _colour(row), 3, cv2.LINE_AA)
        known = any(lines[who] for _, lines in panels)
        _write(canvas, who if known else f"{who}: no curves, its training's log is empty", (LEFT + 48, middle + 6))
    last = max(1, *(step for _, lines in panels for points in lines.values() for step, _ in points))
    for number, (title, lines) in enumerate(panels):
        _panel(canvas, legend + PANEL * number, title, list(lines.values()), last)
    return canvas


@dataclass(frozen=True)
class _Axes:
    """Where a step and a value lie in the picture, in pixels from its upper left corner."""

    top: int
    last: int
    low: float
    high: float

    def x(self, step: float) -> int:
        return LEFT + round((WIDTH - LEFT - RIGHT) * step / max(self.last, 1))

    def y(self, value: float) -> int:
        share = (value - self.low) / (self.high - self.low)
        return self.top + PANEL - BOTTOM - round((PANEL - TOP - BOTTOM) * min(max(share, 0.0), 1.0))


def _panel(canvas: Picture, top: int, title: str, lines: Sequence[Points], last: int) -> None:
    values = [value for points in lines for _, value in points if math.isfinite(value)]
    low, high = _limits(values)
    axes = _Axes(top, last, low, high)
    _write(canvas, title, (LEFT, top + TOP - 16), size=0.6)
    for value in _ticks(low, high):
        cv2.line(canvas, (LEFT, axes.y(value)), (WIDTH - RIGHT, axes.y(value)), FAINT, 1)
        _write(canvas, f"{value:g}", (12, axes.y(value) + 5))
    for step in _ticks(0, last):
        _write(canvas, f"{step:,.0f}", (axes.x(step) - 4, top + PANEL - BOTTOM + 22))
    for row, points in enumerate(lines):
        finite = [(axes.x(step), axes.y(value)) for step, value in points if math.isfinite(value)]
        cv2.polylines(canvas, [np.array(finite, np.int32).reshape(-1, 1, 2)], False, _colour(row), 2, cv2.LINE_AA)
        if len(finite) <= 60:
            for point in finite:
                cv2.circle(canvas, point, 3, _colour(row), cv2.FILLED, cv2.LINE_AA)
    cv2.line(canvas, (LEFT, axes.y(low)), (WIDTH - RIGHT, axes.y(low)), INK, 1)
    cv2.line(canvas, (LEFT, top + TOP), (LEFT, axes.y(low)), INK, 1)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """From 0 to a little above the greatest; a loss that explodes at the beginning does not flatten all the rest."""
    if not values:
        return 0.0, 1.0
    high = min(max(values), 4 * float(np.percentile(values, 90)))
    low = min(0.0, *values)
    return low, (high * 1.05 if high > low else low + 1.0)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers."""
    raw = (high - low) / 5
    unit: float = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    first = math.ceil(low / step)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _colour(row: int) -> tuple[int, int, int]:
    return PALETTE[row % len(PALETTE)]


def _write(canvas: Picture, text: str, place: tuple[int, int], *, size: float = 0.5) -> None:
    # OpenCV's fonts have ASCII alone.
    cv2.putText(canvas, text.encode("ascii", "replace").decode(), place, FONT, size, INK, 1, cv2.LINE_AA)
