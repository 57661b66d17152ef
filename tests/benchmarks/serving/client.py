# SPDX-License-Identifier: Apache-2.0
"""An HTTP client that loads a server and stays out of its way: one thread, sockets, requests that are made beforehand.

In a closed loop each client sends its next request once it has its answer. In an open loop requests come when they
come, whatever became of those before: a request that finds no idle connection opens one, and its latency counts from
the moment when it was to be sent. So a server that stands still for a second is charged with all that came meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

HOST = "127.0.0.1"
GONE = 0
"""The status of an exchange without an answer: the connection was refused or closed."""
LEFT = -1
"""The status of an exchange whose client has lost patience and closed its connection."""

BUSY = 429
"""The status with which a server sends a client away."""
BUSY_SECONDS = 0.1
MOST_SECONDS = 300.0


@dataclass(frozen=True)
class Exchange:
    """One request and what became of it; times in seconds of `time.monotonic`.

    Attributes:
        due: When it was to be sent.
        sent: When the last byte of its body was on its way; when it was answered, if that came first.
        answered: When the answer was there.
        status: Of the answer, or `GONE` or `LEFT`.
        body: Of the answer.
    """

    due: float
    sent: float
    answered: float
    status: int
    body: bytes = b""

    @property
    def latency(self) -> float:
        """Seconds from when it was to be sent until it was answered."""
        return self.answered - self.due


def request(body: bytes, headers: Mapping[str, str] | None = None, path: str = "/invocations") -> bytes:
    """The bytes of a POST, which may be sent any number of times."""
    fields = {"Host": HOST, "Content-Type": "application/x-image"} | dict(headers or {})
    return raw_request(body, [f"{name}: {value}".encode("latin-1") for name, value in fields.items()], path)


def raw_request(body: bytes, fields: Iterable[bytes], path: str = "/invocations") -> bytes:
    """The same with header lines that may be anything."""
    lines = [f"POST {path} HTTP/1.1".encode(), *fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


PING = f"GET /ping HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


class Client:
    """Connections to one server, each used again once its answer was read.

    Attributes:
        asked_anew: How often an idle connection turned out to be closed, so that another one was taken.
    """

    def __init__(self, port: int) -> None:
        self.asked_anew = 0
        self._port = port
        self._idle: list[_Connection] = []

    async def ask(
        self, request: bytes, due: float | None = None, patience: float | None = None, *, whole: bool = True
    ) -> Exchange:
        """Send a request and wait for its answer.

        Args:
            request: Its bytes.
            due: When it was to be sent; None: now.
            patience: Seconds from then after which the client leaves; None: never.
            whole: Whether all of it is there: behind half a request nothing else can be sent.
        """
        due = time.monotonic() if due is None else due
        try:
            async with asyncio.timeout(None if patience is None else max(due + patience - time.monotonic(), 0.0)):
                return await self._ask(request, due, whole)
        except TimeoutError:
            now = time.monotonic()
            return Exchange(due, now, now, LEFT)

    async def _ask(self, request: bytes, due: float, whole: bool) -> Exchange:
        while self._idle:
            connection = self._idle.pop()
            exchange = await self._over(connection, request, due, whole)
            if exchange.status != GONE or connection.heard:
                return exchange
            self.asked_anew += 1  # a server may close what is idle at any time
        try:
            reader, writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            now = time.monotonic()
            return Exchange(due, now, now, GONE)
        return await self._over(_Connection(reader, writer), request, due, whole)

    async def _over(self, connection: _Connection, request: bytes, due: float, whole: bool) -> Exchange:
        kept = False
        try:
            sent, status, body, kept = await connection.exchange(request)
            return Exchange(due, sent, time.monotonic(), status, body)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError):
            now = time.monotonic()
            return Exchange(due, now, now, GONE)
        finally:
            self._idle.append(connection) if kept and whole else connection.close()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=0)  # drained means: all is with the kernel
        self._reader, self._writer = reader, writer
        self.heard = False  # whether anything of the present answer has come

    async def exchange(self, request: bytes) -> tuple[float, int, bytes, bool]:
        """When all was sent, the answer's status and body, and whether the connection can be used again."""
        self.heard = False
        self._writer.write(request)
        sent, draining = time.monotonic(), None
        if self._writer.transport.get_write_buffer_size():
            draining = asyncio.ensure_future(_moment(self._writer.drain()))
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heard = True
            answered = time.monotonic()
            status_line, *lines = head.split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self._reader.readexactly(int(fields.get("content-length", "0")))
        finally:
            if draining and not draining.done():
                draining.cancel()
        whole = draining is None or (draining.done() and not draining.cancelled() and not draining.exception())
        if draining:
            sent = draining.result() if whole else answered
        kept = whole and fields.get("connection", "").lower() != "close" and status_line.startswith("HTTP/1.1")
        return sent, int(status_line.split(" ")[1]), body, kept

    def close(self) -> None:
        self._writer.transport.abort()


async def _moment(awaited: Awaitable[None]) -> float:
    await awaited
    return time.monotonic()


async def closed_loop(
    client: Client, requests: Iterator[bytes], clients: int, seconds: float, at_least: int = 0
) -> list[Exchange]:
    """Let some clients ask for a while, each its next request once it was answered; who is sent away waits a little.

    Args:
        client: Whose connections are used.
        requests: Taken in turn.
        clients: How many requests are on their way at any time.
        seconds: How long requests are begun.
        at_least: How many are begun and not sent away, however long it takes, within `MOST_SECONDS` more.
    """
    exchanges: list[Exchange] = []
    begun, until = 0, time.monotonic() + seconds

    async def go_on() -> None:
        nonlocal begun
        while time.monotonic() < until + (MOST_SECONDS if begun < at_least else 0):
            begun += 1
            exchange = await client.ask(next(requests))
            exchanges.append(exchange)
            if exchange.status == BUSY:
                begun -= 1
                await asyncio.sleep(BUSY_SECONDS)

    await asyncio.gather(*(go_on() for _ in range(clients)))
    return exchanges


async def open_loop(
    client: Client, requests: Iterator[bytes], arrivals: Sequence[float], patience: float | None = None
) -> list[Exchange]:
    """Send requests at given moments, whatever became of those before.

    Args:
        client: Whose connections are used, and which opens as many as it takes.
        requests: Taken in turn.
        arrivals: Seconds from now, ascending.
        patience: Seconds after which a client leaves; None: never.
    """
    began = time.monotonic()
    tasks = []
    for arrival in arrivals:
        await asyncio.sleep(max(0.0, began + arrival - time.monotonic()))
        tasks.append(asyncio.ensure_future(client.ask(next(requests), began + arrival, patience)))
    return list(await asyncio.gather(*tasks))


def poisson(rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Moments of independent arrivals, `rate` a second on average; the same for each rate but for their scale."""
    drawn, moments = random.Random(seed), [0.0]
    for _ in range(max(2, round(rate * seconds))):
        moments.append(moments[-1] + drawn.expovariate(rate))
    return moments[1:]


def allow_many_files() -> int:
    """Raise this process's limit of open files, and its children's, as far as it may; gives the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
