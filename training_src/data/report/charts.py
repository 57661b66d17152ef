# SPDX-License-Identifier: Apache-2.0
"""Histograms, a scatter of box shapes and a heat map as inline SVG, whose colours follow the page's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from training_src.data.report.content import Floats

WIDTH, HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 10, 42
SERIES = ("var(--line-1)", "var(--line-2)", "var(--line-3)")


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
    slots = len(edges) - 1
    step = (WIDTH - _LEFT - _RIGHT) / slots
    bottom = HEIGHT - _BOTTOM
    parts = [_head(title, HEIGHT)]
    for tick in _ticks(most):
        y = bottom - tick / most * (bottom - _TOP)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * tick:g} %</text>')
    for at, edge in enumerate(edges):
        if at % math.ceil(slots / 12) == 0:
            parts.append(f'<text x="{_LEFT + at * step:.1f}" y="{bottom + 15}" text-anchor="middle">{edge:g}</text>')
    thick = step * 0.82 / max(len(shares), 1)
    for series, (name, values) in enumerate(shares.items()):
        colour = SERIES[list(counts).index(name) % len(SERIES)]
        for at, share in enumerate(values):
            tall = share / most * (bottom - _TOP)
            if tall > 0:
                label = f"{name}: {counts[name][at]} ({100 * share:.1f} %), {edges[at]:g} to {edges[at + 1]:g}"
                parts.append(
                    f'<rect x="{_LEFT + (at + 0.09) * step + series * thick:.1f}" y="{bottom - tall:.1f}" '
                    f'width="{thick:.1f}" height="{tall:.1f}" rx="1.5" fill="{colour}">'
                    f"<title>{escape(label)}</title></rect>"
                )
    if threshold is not None:
        x_mark = _LEFT + float(np.interp(threshold, edges, range(len(edges)))) * step
        place = f'x1="{x_mark:.1f}" x2="{x_mark:.1f}" y1="{_TOP}" y2="{bottom}"'
        parts.append(f'<line class="mark-line" {place}><title>{threshold:g}</title></line>')
    parts.append(
        f'<text x="{(_LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle" class="axis">{escape(x)}</text>'
    )
    return "".join([*parts, "</svg>"])


def shapes(title: str, groups: Sequence[tuple[str, str, Floats]], anchors: Floats) -> str:
    """Widths over heights, both as logarithms, with anchors as crosses.

    Args:
        title: For those who do not see it.
        groups: Name, CSS colour and `(n, 2)` widths and heights in pixels.
        anchors: `(n, 2)`.
    """
    height = 330
    everything = np.concatenate([*(points for _, _, points in groups), anchors, np.array([[4.0, 4.0]])])
    low = 2.0 ** math.floor(math.log2(max(float(everything.min()), 1.0)))
    high = 2.0 ** math.ceil(math.log2(max(float(everything.max()), 2 * low)))
    bottom = height - _BOTTOM

    def place(points: Floats) -> Floats:
        shares = np.log2(np.clip(points, low, high) / low) / math.log2(high / low)
        return np.stack(
            [_LEFT + shares[:, 0] * (WIDTH - _LEFT - _RIGHT), bottom - shares[:, 1] * (bottom - _TOP)], axis=1
        )

    parts = [_head(title, height)]
    for power in range(round(math.log2(low)), round(math.log2(high)) + 1):
        x, y = place(np.array([[2.0**power, 2.0**power]], np.float32))[0]
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{2**power}</text>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{2**power}</text>')
    for name, colour, points in groups:
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in place(points)) if len(points) else ""
        parts.append(
            f'<path d="{dots}" stroke="{colour}" stroke-width="3.4" stroke-linecap="round" stroke-opacity=".55" '
            f'fill="none"><title>{escape(name)}</title></path>'
        )
    crosses = (
        "".join(f"M{x - 4:.1f} {y:.1f}h8M{x:.1f} {y - 4:.1f}v8" for x, y in place(anchors)) if len(anchors) else ""
    )
    parts.append(f'<path d="{crosses}" class="cross"><title>anchors</title></path>')
    middle = (_LEFT + WIDTH) / 2
    parts.append(f'<text x="{middle:.0f}" y="{height - 6}" text-anchor="middle" class="axis">width, pixels</text>')
    turned = f'transform="translate(11 {(bottom + _TOP) / 2:.0f}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle" class="axis">height, pixels</text>')
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


def _head(title: str, height: int) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
    )


def _ticks(most: float) -> list[float]:
    """Three to five round shares up to the greatest."""
    magnitude = 10.0 ** math.floor(math.log10(most / 4))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= most / 4 * 0.999)
    return [round(step * at, 6) for at in range(math.floor(most / step + 1e-9) + 1)]
