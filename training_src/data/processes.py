# SPDX-License-Identifier: Apache-2.0
"""Work on a stream in several processes; what comes out has the order of what went in."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from training_src.errors import MapgateError

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_order(work: Callable[[Given], Made], pieces: Iterable[Given], processes: int) -> Iterator[Made]:
    """Do `work` on each piece; only a few pieces wait, so that memory holds no more than those.

    Args:
        work: Small and picklable; with one process it runs in this one.
        pieces: Picklable.
        processes: How many.

    Raises:
        MapgateError: A worker was killed, most likely for want of memory.
    """
    if processes <= 1:
        yield from map(work, pieces)
        return
    # Forked workers have everything imported; nothing here has started a thread before.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        pending: deque[Future[Made]] = deque()
        try:
            for piece in pieces:
                pending.append(pool.submit(work, piece))
                if len(pending) > 3 * processes:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise MapgateError(
                "A worker process was killed, most likely for want of memory; take a larger instance."
            ) from None
        finally:
            for future in pending:
                future.cancel()
