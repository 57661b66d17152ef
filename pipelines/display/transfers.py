# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way, as a bar on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


@contextmanager
def transfer(console: Console, what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """A bar that goes when the block ends; none where there is no terminal.

    Yields:
        What is to be called with the bytes that are there, and the bytes in all where they are known.
    """
    columns = (TextColumn("  {task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=hidden, transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
