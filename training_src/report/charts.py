# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG, whose colours follow the page's light or dark style."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

SERIES = ("var(--line-1)", "var(--line-2)", "var(--line-3)")
# Told apart without colour, in the order of the lines; "" is drawn through.
DASHES = ("", "9 5", "2 4", "12 4 2 4", "5 3", "14 5", "2 2", "9 3 2 3 2 3")
WIDTH, HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 12, 48
_ACROSS = WIDTH - _LEFT - _RIGHT


@dataclass(frozen=True)
class Line:
    """One curve: points in data units, a name, a CSS colour, and dashes that tell it from others without colour."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    marked: bool = False
    dash: str = ""


@dataclass(frozen=True)
class Axes:
    """Names and ranges; a range that is None follows the data.

    Attributes:
        title: For those who do not see it.
        description: For them, too: what there is to be seen.
        mark: A value of the horizontal axis to mark, and its name.
    """

    title: str
    x: str
    y: str
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    description: str = ""
    mark: tuple[float, str] | None = None


# Where along an axis a tick is, from 0 to 1, and what stands there.
_Ticks = Sequence[tuple[float, str]]


def line_chart(lines: Sequence[Line], axes: Axes) -> str:
    """Curves over a grid; points that are no finite numbers leave a gap."""
    finite = [[point for point in line.points if all(map(math.isfinite, point))] for line in lines]
    everything = [point for points in finite for point in points]
    left, right = axes.x_range or _span([x for x, _ in everything])
    low, high = axes.y_range or _span([0.0, *(y for _, y in everything)])
    parts = _frame(
        axes.title,
        HEIGHT,
        (axes.x, [((value - left) / (right - left), f"{value:g}") for value in _round_numbers(left, right)]),
        (axes.y, [((value - low) / (high - low), f"{value:g}") for value in _round_numbers(low, high)]),
        description=axes.description,
    )
    if axes.mark is not None:
        parts.append(_mark(HEIGHT, (axes.mark[0] - left) / (right - left), axes.mark[1]))
    for line, points in zip(lines, finite, strict=True):
        places = [_place(HEIGHT, (x - left) / (right - left), (y - low) / (high - low)) for x, y in points]
        parts.extend(_curve(line, places))
    return "".join([*parts, "</svg>"])


def histogram(
    title: str, x: str, edges: Sequence[float], counts: Mapping[str, Sequence[int]], threshold: float | None = None
) -> str:
    """Bars side by side for each series, as shares of the series, so that small splits can be compared.

    Args:
        title: For those who do not see it.
        x: What the edges measure.
        edges: One more than there are bars; equally wide on the page, whatever they are.
        counts: By series.
        threshold: An edge to mark.
    """
    shares = {name: [one / (sum(values) or 1) for one in values] for name, values in counts.items() if sum(values)}
    most = max((max(values) for values in shares.values()), default=1.0) or 1.0
    slots, height = len(edges) - 1, HEIGHT - 50
    labels = [(at / slots, f"{edge:g}") for at, edge in enumerate(edges) if at % math.ceil(slots / 12) == 0]
    percents = [(value / most, f"{100 * value:g} %") for value in _round_numbers(0.0, most, 4)]
    parts = _frame(title, height, (x, labels), ("", percents), upright_grid=False)
    thick = 0.82 / max(len(shares), 1)
    for series, (name, values) in enumerate(shares.items()):
        colour = SERIES[list(counts).index(name) % len(SERIES)]
        for at, share in enumerate(values):
            if share > 0:
                left, top = _place(height, (at + 0.09 + series * thick) / slots, share / most)
                label = f"{name}: {counts[name][at]} ({100 * share:.1f} %), {edges[at]:g} to {edges[at + 1]:g}"
                parts.append(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{thick / slots * _ACROSS:.1f}" '
                    f'height="{height - _BOTTOM - top:.1f}" rx="1.5" fill="{colour}">'
                    f"<title>{escape(label)}</title></rect>"
                )
    if threshold is not None:
        share = float(np.interp(threshold, edges, range(len(edges)))) / slots
        parts.append(_mark(height, share, f"{threshold:g}"))
    return "".join([*parts, "</svg>"])


def reliability(axes: Axes, bins: Sequence[tuple[float, float, float | None, str]], colour: str = SERIES[0]) -> str:
    """Bars of what came true over what was promised, with the line on which both are equal.

    Args:
        axes: Its ranges do not count: both axes go from 0 to 1.
        bins: Lower and upper edge, height or None, and a text for each.
        colour: A CSS colour.
    """
    ticks = [(value, f"{value:g}") for value in _round_numbers(0.0, 1.0)]
    parts = _frame(axes.title, HEIGHT, (axes.x, ticks), (axes.y, ticks), description=axes.description)
    for lower, upper, share, text in bins:
        if share is None:
            continue
        left, top = _place(HEIGHT, lower + 0.1 * (upper - lower), share)
        right, bottom = _place(HEIGHT, upper - 0.1 * (upper - lower), 0.0)
        size = f'width="{right - left:.1f}" height="{max(bottom - top, 1):.1f}"'
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" {size} rx="1.5" fill="{colour}"><title>{escape(text)}</title></rect>'
        )
    (left, bottom), (right, top) = _place(HEIGHT, 0.0, 0.0), _place(HEIGHT, 1.0, 1.0)
    place = f'x1="{left}" y1="{bottom}" x2="{right}" y2="{top}"'
    return "".join([*parts, f'<line class="mark-line" {place}><title>as sure as right</title></line></svg>'])


def shapes(title: str, groups: Sequence[tuple[str, str, NDArray[Any]]], anchors: NDArray[Any]) -> str:
    """Widths over heights, both as logarithms, with anchors as crosses.

    Args:
        title: For those who do not see it.
        groups: Name, CSS colour and `(n, 2)` widths and heights in pixels.
        anchors: `(n, 2)`.
    """
    height = HEIGHT + 30
    everything = np.concatenate([*(points for _, _, points in groups), anchors, np.array([[4.0, 4.0]])])
    low = math.floor(math.log2(max(float(everything.min()), 1.0)))
    high = math.ceil(math.log2(max(float(everything.max()), 2.0 ** (low + 1))))
    ticks = [((power - low) / (high - low), f"{2**power}") for power in range(low, high + 1)]
    parts = _frame(title, height, ("width, pixels", ticks), ("height, pixels", ticks))

    def places(points: NDArray[Any]) -> list[tuple[float, float]]:
        shares = (np.log2(np.clip(points, 2.0**low, 2.0**high)) - low) / (high - low)
        return [_place(height, x, y) for x, y in shares.tolist()]

    for name, colour, points in groups:
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places(points))
        parts.append(
            f'<path d="{dots}" stroke="{colour}" stroke-width="3.4" stroke-linecap="round" stroke-opacity=".55" '
            f'fill="none"><title>{escape(name)}</title></path>'
        )
    crosses = "".join(f"M{x - 4:.1f} {y:.1f}h8M{x:.1f} {y - 4:.1f}v8" for x, y in places(anchors))
    parts.append(f'<path d="{crosses}" class="cross"><title>anchors</title></path>')
    return "".join([*parts, "</svg>"])


def heat_map(title: str, counts: Sequence[Sequence[int]]) -> str:
    """Cells of a grid, the darker the more."""
    most = max((max(row) for row in counts), default=0) or 1
    size = len(counts)
    parts = [f'<svg class="chart heat" viewBox="0 0 {size} {size}" role="img" aria-label="{escape(title)}">']
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                opacity = 0.08 + 0.92 * math.sqrt(count / most)
                across, down = 100 * (x + 0.5) / size, 100 * (y + 0.5) / size
                label = f"{count} boxes at {across:.0f} % from the left, {down:.0f} % down"
                parts.append(
                    f'<rect x="{x}" y="{y}" width="1.02" height="1.02" fill-opacity="{opacity:.2f}">'
                    f"<title>{label}</title></rect>"
                )
    return "".join([*parts, "</svg>"])


def _mark(height: int, share: float, text: str) -> str:
    """A dashed line upright, so far along the horizontal axis."""
    at, top = _place(height, share, 1.0)
    place = f'x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{height - _BOTTOM}"'
    return f'<line class="mark-line" {place}><title>{escape(text)}</title></line>'


def _frame(
    title: str,
    height: int,
    x: tuple[str, _Ticks],
    y: tuple[str, _Ticks],
    *,
    upright_grid: bool = True,
    description: str = "",
) -> list[str]:
    """An SVG's beginning with grid, labels and the axes' names."""
    bottom = height - _BOTTOM
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(description)}</desc>" if description else "",
    ]
    for share, label in y[1]:
        _, at = _place(height, 0.0, share)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    for share, label in x[1]:
        at, _ = _place(height, share, 0.0)
        if upright_grid:
            parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 19}" text-anchor="middle">{label}</text>')
    middle = f'x="{_LEFT + _ACROSS / 2:.0f}" y="{height - 6}"'
    turned = f'transform="translate(13 {(bottom + _TOP) / 2:.0f}) rotate(-90)"'
    for place, name in ((middle, x[0]), (turned, y[0])):
        parts.append(f'<text {place} text-anchor="middle" class="axis">{escape(name)}</text>' if name else "")
    return parts


def _place(height: int, x: float, y: float) -> tuple[float, float]:
    """Where a point lies on the page that lies so far along the axes, from 0 to 1."""
    return _LEFT + x * _ACROSS, height - _BOTTOM - y * (height - _TOP - _BOTTOM)


def _curve(line: Line, places: Sequence[tuple[float, float]]) -> list[str]:
    if not places:
        return []
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    title = f"<title>{escape(line.name)}</title>"
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    stroke = f'stroke="{line.colour}" stroke-width="2.2"{dash}'
    parts = [f'<polyline points="{path}" fill="none" {stroke}>{title}</polyline>']
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


def _round_numbers(low: float, high: float, least: int = 5) -> list[float]:
    """Round numbers within a range, `least` - 1 or a few more."""
    rough = (high - low) / least
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(at * step, 12) for at in range(first, math.floor(high / step + 1e-9) + 1)]
