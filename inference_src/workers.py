# SPDX-License-Identifier: Apache-2.0
"""The threads in which images are decoded and detected, one image each."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar, cast

Made = TypeVar("Made")


class FailedError(Exception):
    """Work ended in something that is no error of a request; `__cause__` is what it was."""


class Workers:
    """As many threads as there are places. One that dies is replaced by the next work.

    `concurrent.futures` forgets a thread that died, and hands `StopIteration` and `SystemExit` of the work on to the
    event loop, where the first leaves its caller waiting for ever and the second ends the server.
    """

    def __init__(self, places: int) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [self._start() for _ in range(places)]

    async def run(self, work: Callable[[], Made], *, expected: type[Exception], after: Callable[[], None]) -> Made:
        """Do `work` in a thread.

        Args:
            work: What to do.
            expected: The errors of a request, which come through as they are.
            after: Called in the event loop once the thread is free again, also when nobody waits for it any more.

        Raises:
            FailedError: The work ended in anything else.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Made] = loop.create_future()

        def done(made: Made | None, error: BaseException | None) -> None:
            after()
            if outcome.done():  # who asked was cancelled
                return
            if error is None:
                outcome.set_result(cast(Made, made))
            else:
                outcome.set_exception(error if isinstance(error, expected) else _failed(error))

        def in_thread() -> None:
            made, error = None, None
            try:
                made = work()
            except BaseException as raised:
                error = raised
            finally:
                loop.call_soon_threadsafe(done, made, error)

        self._threads = [thread if thread.is_alive() else self._start() for thread in self._threads]
        self._work.put(in_thread)
        return await outcome

    def close(self) -> None:
        """Let the threads end once they have done what they were given."""
        for _ in self._threads:
            self._work.put(None)

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._work_on, name="detect", daemon=True)
        thread.start()
        return thread

    def _work_on(self) -> None:
        while (work := self._work.get()) is not None:
            work()


def _failed(error: BaseException) -> FailedError:
    failed = FailedError(f"{type(error).__name__} in a thread that detects")
    failed.__cause__ = error
    return failed
