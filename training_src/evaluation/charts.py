# SPDX-License-Identifier: Apache-2.0
"""Line charts as inline SVG, whose colours follow the page's light or dark style."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 44


@dataclass(frozen=True)
class Line:
    """One curve: points in data units, a name and a CSS colour."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    marked: bool = False


@dataclass(frozen=True)
class Axes:
    """Names and ranges; a range that is None follows the data."""

    title: str
    x: str
    y: str
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


def line_chart(lines: Sequence[Line], axes: Axes) -> str:
    """An SVG of the lines with axes and grid; points that are no finite numbers leave a gap."""
    finite = [[point for point in line.points if all(map(math.isfinite, point))] for line in lines]
    everything = [point for points in finite for point in points]
    x_range = axes.x_range or _span([x for x, _ in everything])
    y_range = axes.y_range or _span([0.0, *(y for _, y in everything)])
    x_ticks, y_ticks = _ticks(*x_range), _ticks(*y_range)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (y - y_range[0]) / (y_range[1] - y_range[0])
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(axes.title)}">',
        f"<title>{escape(axes.title)}</title>",
    ]
    for value in y_ticks:
        _, y = place(x_range[0], value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in x_ticks:
        x, _ = place(value, y_range[0])
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - _BOTTOM + 17}" text-anchor="middle">{value:g}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle" class="axis">{escape(axes.x)}</text>')
    turned = f'transform="translate(13 {(HEIGHT - _BOTTOM + _TOP) / 2:.0f}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle" class="axis">{escape(axes.y)}</text>')
    for line, points in zip(lines, finite, strict=True):
        parts.extend(_curve(line, [place(x, y) for x, y in points]))
    return "".join([*parts, "</svg>"])


def _curve(line: Line, places: Sequence[tuple[float, float]]) -> list[str]:
    if not places:
        return []
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    title = f"<title>{escape(line.name)}</title>"
    parts = [f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2">{title}</polyline>']
    if line.marked or len(places) == 1:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{line.colour}"/>' for x, y in places]
    return parts


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The values' range with a little room above, never empty."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    told_apart = high - low > 1e-9 * max(abs(low), abs(high), 1e-3)
    return (low, high + (high - low) * 0.04) if told_apart else (low, low + 1.0)


def _ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers within a range."""
    rough = (high - low) / 5
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(at * step, 12) for at in range(first, math.floor(high / step + 1e-9) + 1)]
