# SPDX-License-Identifier: Apache-2.0
"""Work on a stream in several processes; what comes out has the order of what went in."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from training_src.errors import MapgateError

Given = TypeVar("Given")
Made = TypeVar("Made")

# Numbers of glibc's malloc.h, and how much a worker may keep: a large image, decoded.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 32 << 20
# More than this many new objects are looked through for circles.
_NEW_OBJECTS = 100_000

# Set in each worker, so that it is not sent with every piece of work.
_work: Callable[[Any], Any]


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(
    work: Callable[[Given], Made],
    pieces: Iterable[Given],
    processes: int,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[Made]:
    """Do `work` on each piece; only a few pieces wait, so that memory holds no more than those.

    Args:
        work: Picklable; with one process it runs in this one.
        pieces: Picklable.
        processes: How many.
        meanwhile: Called once in this process, where there are others after they have been given work.

    Raises:
        MapgateError: A worker was killed, most likely for want of memory.
    """
    if processes <= 1:
        yield from map(work, pieces)
        if meanwhile:
            meanwhile()
        return
    # Forked workers have everything imported; nothing here has started a thread before.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, _prepare, (work,)) as pool:
        pending: deque[Future[Made]] = deque()
        try:
            for piece in pieces:
                pending.append(pool.submit(_do, piece))
                if len(pending) > 3 * processes:
                    if meanwhile:
                        meanwhile()
                        meanwhile = None
                    yield pending.popleft().result()
            if meanwhile:
                meanwhile()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise MapgateError(
                "A worker process was killed, most likely for want of memory; take a larger instance."
            ) from None
        finally:
            for future in pending:
                future.cancel()


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for circles of objects only now and then: what streams through makes thousands, and hardly a circle."""
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _prepare(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    # What this process shares with its parent stays shared: collecting garbage would write to every page of it.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have the next image read into the pages of the last one: asking the kernel for new ones takes as long as reading.

    Source: https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if set_option is not None:
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        set_option(_M_MMAP_THRESHOLD, _KEPT_BYTES)


def _do(piece: Any) -> Any:
    return _work(piece)
