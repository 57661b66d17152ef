# SPDX-License-Identifier: Apache-2.0
"""Who may wait for a core, for how long, and the threads that work: one a core, one request each.

Waiting is latency, on which an update rolls back, so it is bounded by time: whoever would wait longer is told so at
once, and is computed only by whoever is still there. Requests are taken in the order in which their bodies were
complete. Under overload the queue stays as long as the bound and a core never waits for work, so as many requests are
answered as without overload; taking the newest first would answer no more and let others wait in vain. A thread takes
its next request itself: under overload the event loop is busy reading bodies and would let the core stand still.
"""

import asyncio
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

from inference_src.errors import RequestError

PATIENCE = 3.0
"""How many times the time that a request takes a core it may wait for one, if the model is slow."""
NOTICE_SECONDS = 0.005
"""How long a refusal waits for the news that others have just left: their places are free then."""
Made = TypeVar("Made")

_NEWS = 0.1
"""Weight of the newest request in what requests take."""


class BusyError(RequestError):
    """Too much is asked at once.

    Attributes:
        retry_after: Whole seconds after which asking again makes sense.
    """

    def __init__(self, sentence: str, seconds: float) -> None:
        super().__init__(429, sentence)
        self.retry_after = max(1, math.ceil(seconds))


class LeftError(Exception):
    """Whoever asked has closed the connection."""


class FailedError(Exception):
    """Work ended in something that is no error of a request; `__cause__` is what it was."""


class ServiceTimes:
    """How long requests take a core, lately: on average, and by the size of their bodies in powers of two."""

    def __init__(self) -> None:
        self.mean = 0.0
        self._by_size: dict[int, float] = {}

    def add(self, size: int, seconds: float) -> None:
        """Learn from a request of `size` bytes."""
        known = self._by_size.get(size.bit_length(), seconds)
        self._by_size[size.bit_length()] = known + (seconds - known) * _NEWS
        self.mean += (seconds - self.mean) * (_NEWS if self.mean else 1.0)

    def expected(self, size: int) -> float:
        """Seconds that a request of `size` bytes will take; 0 as long as nothing is known."""
        return self._by_size.get(size.bit_length(), self.mean)


@dataclass(eq=False)
class _Request(Generic[Made]):
    """Work that waits for a core or has one.

    Attributes:
        work: What to do.
        size: The body's bytes.
        until: When it has waited too long.
        outcome: What comes of it, in the event loop of whoever asked.
        since: When its work began.
        waited: Seconds until then.
    """

    work: Callable[[], Made]
    size: int
    until: float
    outcome: asyncio.Future[Made]
    begun: float = field(default_factory=time.monotonic)
    since: float = 0.0

    def end(self, made: Made | None, error: BaseException | None) -> None:
        """Tell whoever asked; called in the event loop."""
        if self.outcome.done():  # who asked was cancelled
            return
        if error is None:
            self.outcome.set_result(cast(Made, made))
        elif isinstance(error, RequestError | LeftError):
            self.outcome.set_exception(error)
        else:
            failed = FailedError(f"{type(error).__name__} in a thread that detects")
            failed.__cause__ = error
            self.outcome.set_exception(failed)

    def end_from_thread(self, made: Made | None, error: BaseException | None) -> None:
        """The same, called in a thread."""
        with suppress(RuntimeError):  # the event loop has ended
            self.outcome.get_loop().call_soon_threadsafe(self.end, made, error)


class Cores:
    """The cores, the requests that have one, and those that wait.

    `concurrent.futures` forgets a thread that died, and hands `StopIteration` and `SystemExit` of the work on to the
    event loop, where the first leaves its caller waiting for ever and the second ends the server. Here every end of the
    work is a `FailedError`, and a thread that died is replaced when the next request comes.

    Args:
        places: How many images are detected side by side.
        max_wait_seconds: How long a request may wait, or `PATIENCE` times what one takes if that is longer.
    """

    def __init__(self, places: int, max_wait_seconds: float) -> None:
        self.times = ServiceTimes()
        self._max_wait_seconds = max_wait_seconds
        self._lock = threading.Lock()
        self._working: set[_Request[object]] = set()
        self._waiting: OrderedDict[_Request[object], None] = OrderedDict()
        self._calls: SimpleQueue[bool] = SimpleQueue()  # one for each request that ever waited; False ends a thread
        self._threads = [self._start() for _ in range(places)]

    @property
    def longest_wait(self) -> float:
        """Seconds that a request may wait now."""
        return max(self._max_wait_seconds, PATIENCE * self.times.mean)

    @property
    def expected_wait(self) -> float:
        """Seconds that a request would wait which came now."""
        with self._lock:
            if len(self._working) + len(self._waiting) < len(self._threads):
                return 0.0
            now = time.monotonic()
            begun = sum(max(0.0, self.times.expected(each.size) - (now - each.since)) for each in self._working)
            return (begun + sum(self.times.expected(each.size) for each in self._waiting)) / len(self._threads)

    @property
    def idle(self) -> bool:
        """Whether nobody has a core or waits for one."""
        return not self._working and not self._waiting

    async def refuse_if_busy(self) -> None:
        """Send a request away that would wait too long.

        Raises:
            BusyError: It would.
        """
        if self.expected_wait > self.longest_wait:
            await asyncio.sleep(NOTICE_SECONDS)
        expected, longest = self.expected_wait, self.longest_wait
        if expected > longest:
            raise self._too_long(longest, expected)

    async def run(
        self, work: Callable[[], Made], size: int, left: "asyncio.Future[None]", milliseconds: dict[str, float]
    ) -> Made:
        """Do work in a thread, once there is a core for it.

        Args:
            work: What to do.
            size: The bytes that it is about.
            left: Is done when the client has closed its connection.
            milliseconds: `wait` is set here.

        Raises:
            BusyError: The wait would be, or became, longer than it may.
            LeftError: The client has gone, and nothing was done for it.
            RequestError: The work raised it.
            FailedError: The work ended in anything else.
        """
        await self.refuse_if_busy()
        if left.done():
            raise LeftError
        loop, longest = asyncio.get_running_loop(), self.longest_wait
        request = _Request(work, size, time.monotonic() + longest, loop.create_future())
        waiting = cast("_Request[object]", request)
        timer = loop.call_later(longest, self._too_late, waiting, longest)
        left.add_done_callback(lambda _: self._withdraw(waiting, LeftError()))
        self._put(waiting)
        try:
            made: Made = await request.outcome
            return made
        finally:
            timer.cancel()
            self._withdraw(waiting, LeftError())
            milliseconds["wait"] = ((request.since or time.monotonic()) - request.begun) * 1000

    def close(self) -> None:
        """Let the threads end once they have done what they were given."""
        for _ in self._threads:
            self._calls.put(False)

    def _put(self, request: _Request[object]) -> None:
        self._threads = [thread if thread.is_alive() else self._start() for thread in self._threads]
        with self._lock:
            self._waiting[request] = None
        self._calls.put(True)

    def _withdraw(self, request: _Request[object], reason: Exception) -> None:
        """End the wait of a request that no thread has taken yet."""
        with self._lock:
            if request not in self._waiting:
                return
            del self._waiting[request]
        request.end(None, reason)

    def _too_late(self, request: _Request[object], longest: float) -> None:
        self._withdraw(request, self._too_long(longest, self.expected_wait))

    def _too_long(self, longest: float, expected: float) -> BusyError:
        sentence = f"{len(self._waiting)} requests are waiting and no core would be free within {longest:.1f} s"
        return BusyError(f"{sentence}: try again in a moment", expected)

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._work_on, name="detect", daemon=True)
        thread.start()
        return thread

    def _work_on(self) -> None:
        while self._calls.get():
            request = self._take()
            if request is not None:
                self._do(request)

    def _take(self) -> _Request[object] | None:
        """Whoever has waited longest, if not too long."""
        with self._lock:
            if not self._waiting:  # whose call this was has gone
                return None
            request, _ = self._waiting.popitem(last=False)
            request.since = time.monotonic()
            late = request.since > request.until
            if not late:
                self._working.add(request)
        if late:  # the event loop itself was late
            request.end_from_thread(None, self._too_long(self.longest_wait, self.expected_wait))
            return None
        return request

    def _do(self, request: _Request[object]) -> None:
        made, error = None, None
        try:
            made = request.work()
        except BaseException as raised:
            error = raised
        finally:
            with self._lock:
                self._working.discard(request)
                self.times.add(request.size, time.monotonic() - request.since)
            request.end_from_thread(made, error)
