# SPDX-License-Identifier: Apache-2.0
"""The bodies of requests, and how many bytes of them are held together."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from inference_src.admission import BusyError
from inference_src.errors import RequestError


@dataclass(eq=False)
class Body:
    """A request's body, as far as it has come."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    since: float = field(default_factory=time.monotonic)
    limit: asyncio.Timeout | None = None
    shed: bool = False

    def take(self) -> bytes:
        """The whole body; its parts are forgotten, so that they are not there twice, but count until it is let go."""
        whole = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.parts = []
        return whole


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
