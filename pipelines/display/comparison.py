# SPDX-License-Identifier: Apache-2.0
"""Two versions beside each other, as tables of a terminal or of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from pipelines.client.comparison import Comparison, Fact, Numbers
from pipelines.display.versions import signed

Rows = Sequence[Sequence[str]]
BRACKETS = "In brackets: where it lies with 90 % of the resampled test sets."
_WIDE = 110


def tables(comparison: Comparison) -> Iterator[tuple[str, Sequence[str], Rows]]:
    """Heading, columns and rows of each table; one without rows is left out."""
    versions = [f"version {comparison.first.number}", f"version {comparison.second.number}"]
    has_change = any(one.change for one in [*comparison.metrics, *comparison.classes])
    figures = [*versions, *(["change"] if has_change else [])]
    yield "Metrics", ["metric", *figures], [_figures(one, has_change) for one in comparison.metrics]
    yield "AP of each class", ["class", *figures], [_figures(one, has_change) for one in comparison.classes]
    yield "What differs", ["", *versions], [_fact(one) for one in comparison.differences]
    yield "What is the same", ["", "both"], [_fact(one)[:2] for one in comparison.facts if not one.differs]


def drawn(columns: Sequence[str], rows: Rows, width: int) -> Table:
    """A table of the terminal; on a narrow one an interval stands below its value."""
    is_narrow = width < _WIDE
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace(" (", "\n(") if is_narrow else cell for cell in row))
    return table


def markdown(comparison: Comparison) -> str:
    """The whole comparison as Markdown."""
    lines = [f"# Version {comparison.first.number} and version {comparison.second.number}"]
    for heading, columns, rows in tables(comparison):
        if rows:
            lines += ["", f"## {heading}", "", _line(columns), _line(["---"] * len(columns)), *map(_line, rows)]
    lines += ["", *(f"- {note}" for note in (*comparison.notes, BRACKETS))]
    return "\n".join(lines)


def _figures(one: Numbers, has_change: bool) -> list[str]:
    change = [signed(one.change) if one.change else ""] if has_change else []
    return [one.name, *(figure.replace("(90 %: ", "(") for figure in (str(one.first), str(one.second), *change))]


def _fact(one: Fact) -> list[str]:
    return [f"{one.part}: {one.name}", one.first, one.second]


def _line(cells: Sequence[str]) -> str:
    # A cell is one line, and its own bars are no columns.
    escaped = [" ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
