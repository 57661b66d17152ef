# SPDX-License-Identifier: Apache-2.0
"""Work on a stream in several processes; what comes out has the order of what went in."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from training_src.errors import MapgateError

Given = TypeVar("Given")
Made = TypeVar("Made")

# Set in each worker, so that it is not sent with every piece of work.
_work: Callable[[Any], Any]


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(work: Callable[[Given], Made], pieces: Iterable[Given], processes: int) -> Iterator[Made]:
    """Do `work` on each piece; only a few pieces wait, so that memory holds no more than those.

    Args:
        work: picklable; with one process it runs in this one.
        pieces: picklable.
        processes: how many.

    Raises:
        MapgateError: a worker was killed, most likely for want of memory.
    """
    if processes <= 1:
        yield from map(work, pieces)
        return
    # Forked workers have everything imported; nothing here has started a thread before.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, _prepare, (work,)) as pool:
        pending: deque[Future[Made]] = deque()
        try:
            for piece in pieces:
                pending.append(pool.submit(_do, piece))
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


def _prepare(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    # What this process shares with its parent stays shared: collecting garbage would write to every page of it.
    gc.freeze()


def _do(piece: Any) -> Any:
    return _work(piece)
