# SPDX-License-Identifier: Apache-2.0
"""Who may wait for a core, for how long, and how many bytes of bodies are held meanwhile.

Waiting is latency, on which an update rolls back, so it is bounded by time: whoever would wait longer is told so at
once, and is computed only by whoever is still there. Requests are taken in the order in which their bodies were
complete. Under overload the queue stays as long as the bound and a core never waits for work, so as many requests are
answered as without overload; taking the newest first would answer no more and let others wait in vain.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from inference_src.errors import RequestError

PATIENCE = 3.0
"""How many times the time that a request takes a core it may wait for one, if the model is slow."""
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
class Place:
    """A core that one request has, until it is given back."""

    size: int
    since: float


@dataclass(eq=False)
class _Waiting:
    """A request that waits for a core; its turn comes as a place, or as the error that ends the wait."""

    size: int
    until: float
    turn: asyncio.Future[Place]

    def end(self, error: Exception) -> None:
        if not self.turn.done():
            self.turn.set_exception(error)


class Cores:
    """The cores, the requests that have one, and those that wait.

    Args:
        places: How many images are detected side by side.
        max_wait_seconds: How long a request may wait, or `PATIENCE` times what one takes if that is longer.
    """

    def __init__(self, places: int, max_wait_seconds: float) -> None:
        self.times = ServiceTimes()
        self._places = places
        self._max_wait_seconds = max_wait_seconds
        self._working: set[Place] = set()
        self._waiting: dict[_Waiting, None] = {}  # in their order

    @property
    def longest_wait(self) -> float:
        """Seconds that a request may wait now."""
        return max(self._max_wait_seconds, PATIENCE * self.times.mean)

    @property
    def expected_wait(self) -> float:
        """Seconds that a request would wait which came now."""
        if len(self._working) < self._places:
            return 0.0
        now = time.monotonic()
        begun = sum(max(0.0, self.times.expected(each.size) - (now - each.since)) for each in self._working)
        return (begun + sum(self.times.expected(each.size) for each in self._waiting)) / self._places

    async def take(self, size: int, left: "asyncio.Future[None]") -> Place:
        """Wait for a core.

        Args:
            size: The body's bytes.
            left: Is done when the client has closed its connection.

        Raises:
            BusyError: The wait would be, or became, longer than it may.
            LeftError: The client has gone.
        """
        if left.done():
            raise LeftError
        if len(self._working) < self._places:
            return self._give(size)
        expected, longest = self.expected_wait, self.longest_wait
        if expected > longest:
            raise BusyError(_too_long(len(self._waiting), longest), expected)
        return await self._wait(size, longest, left)

    async def _wait(self, size: int, longest: float, left: "asyncio.Future[None]") -> Place:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(size, time.monotonic() + longest, loop.create_future())
        self._waiting[waiting] = None
        timer = loop.call_later(longest, self._end_too_late, waiting, longest)

        def gone(_: object) -> None:
            waiting.end(LeftError())

        left.add_done_callback(gone)
        place = None
        try:
            place = await waiting.turn
            if left.done():  # in the very moment of its turn
                raise LeftError
            return place
        except BaseException:
            self._waiting.pop(waiting, None)
            if place is None and not waiting.turn.cancelled() and waiting.turn.exception() is None:
                place = waiting.turn.result()  # the request was cancelled when its turn had just come
            if place is not None:
                self.give_back(place)
            raise
        finally:
            timer.cancel()
            left.remove_done_callback(gone)

    def give_back(self, place: Place) -> None:
        """Hand the core on to whoever has waited longest and is still there."""
        self._working.remove(place)
        while self._waiting:
            waiting = next(iter(self._waiting))
            del self._waiting[waiting]
            if waiting.turn.done():
                continue
            if time.monotonic() > waiting.until:  # the event loop itself was late
                self._end_too_late(waiting, self.longest_wait)
                continue
            waiting.turn.set_result(self._give(waiting.size))
            return

    def learn(self, place: Place) -> None:
        """Take how long a place was used as what such a request takes."""
        self.times.add(place.size, time.monotonic() - place.since)

    def _give(self, size: int) -> Place:
        place = Place(size, time.monotonic())
        self._working.add(place)
        return place

    def _end_too_late(self, waiting: _Waiting, longest: float) -> None:
        waiting.end(BusyError(_too_long(len(self._waiting), longest), self.expected_wait))


def _too_long(waiting: int, longest: float) -> str:
    return f"{waiting} requests are waiting and a core would not be free within {longest:.1f} s: try again in a moment"


@dataclass(eq=False)
class Body:
    """A request's body, as far as it has come."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    since: float = field(default_factory=time.monotonic)
    limit: asyncio.Timeout | None = None
    shed: bool = False


class Bodies:
    """The bodies that are held, together at most `max_bytes`.

    Only bytes that are there count: who announces much and sends little takes nothing from the others. When there is no
    room for more, the body gives way that has held most for longest, which a client that sends slowly cannot avoid.
    """

    def __init__(self, max_bytes: int) -> None:
        self.held = 0
        self._max_bytes = max_bytes
        self._reading: set[Body] = set()

    async def read(self, parts: AsyncIterator[bytes], seconds: float, announced: int) -> Body:
        """Hold a body until `let_go`.

        Args:
            parts: Its bytes, as they come.
            seconds: How long it may take.
            announced: How many bytes the client says that it sends; 0 if it does not.

        Raises:
            BusyError: There is no room.
            RequestError: 408 it did not come in time, and what `parts` raises.
        """
        if self.held + announced > self._max_bytes:
            raise self._full()
        body = Body()
        self._reading.add(body)
        try:
            async with asyncio.timeout(seconds) as body.limit:
                async for part in parts:
                    self._add(body, part)
        except TimeoutError as error:
            self.let_go(body)
            sentence = f"the body did not come within {seconds:g} s: send it at once"
            raise self._full() if body.shed else RequestError(408, sentence) from error
        except BaseException:
            self.let_go(body)
            raise
        finally:
            self._reading.discard(body)
        return body

    def let_go(self, body: Body) -> None:
        """Forget a body's bytes."""
        self.held -= body.size
        body.parts.clear()
        body.size = 0

    def _add(self, body: Body, part: bytes) -> None:
        if not body.shed and self.held + len(part) > self._max_bytes:
            now = time.monotonic()
            slowest = max(self._reading, key=lambda each: each.size * (now - each.since))
            self._shed(slowest if slowest.size >= len(part) else body)
        if body.shed:
            raise self._full()
        body.parts.append(part)
        body.size += len(part)
        self.held += len(part)

    def _shed(self, body: Body) -> None:
        body.shed = True
        self._reading.discard(body)
        self.let_go(body)
        if body.limit is not None:
            body.limit.reschedule(asyncio.get_running_loop().time())  # wakes whoever waits for its next part

    def _full(self) -> BusyError:
        return BusyError(f"bodies of {self._max_bytes} bytes together are being read already: try again in a moment", 1)
