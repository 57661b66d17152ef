# SPDX-License-Identifier: Apache-2.0
"""Whether a server still answers `/ping` while thousands of connections do nothing, or do it slowly.

SageMaker takes an endpoint for dead whose `/ping` takes longer than 2 seconds; here the target is a quarter of that.
Each `/ping` comes over a connection of its own, from before the others are opened until the time is over, while one
client sends pictures.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.benchmarks.ratio import Row
from tests.benchmarks.serving.client import HOST, LEFT, PING, Client, Exchange, allow_many_files
from tests.benchmarks.serving.load import Loaded, loaded_servers, on_clients_cores
from tests.benchmarks.serving.targets import at_most

SECONDS = 10.0
"""Once all connections of a kind are open."""
IDLE, HALF, SLOW = 2_000, 2_000, 500
PING_SECONDS, PATIENCE = 0.5, 30.0
OPENING = 50
"""Connections that are opened side by side."""
HEAD = f"POST /invocations HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: image/jpeg\r\n".encode()
SLOW_HEAD = HEAD + b"Content-Length: 100000\r\n\r\n\xff\xd8\xff"
DEFAULT_MODEL = "the demo's detector"

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Kind:
    """Connections that take much and give little.

    Attributes:
        name: As the table calls them.
        count: How many there are.
        begin: What one does once it is open.
        go_on: What one does each second; None: nothing.
    """

    name: str
    count: int
    begin: Callable[[Stream], Awaitable[None]]
    go_on: Callable[[Stream], Awaitable[None]] | None = None


def run(seconds: float = SECONDS, only: str = "") -> list[Row]:
    """`/ping` beside each kind of connections, and beside all of them."""
    if allow_many_files() < IDLE + HALF + SLOW + 200:
        print("connections: fewer will be open than wanted, as `ulimit -Hn` allows too few files", file=sys.stderr)
    kinds = [
        Kind("idle connections", IDLE, _ask_once),
        Kind("half-sent heads", HALF, lambda stream: _write(stream, HEAD)),
        Kind("slow bodies", SLOW, lambda stream: _write(stream, SLOW_HEAD), lambda stream: _write(stream, b"\0")),
    ]
    with loaded_servers("connections", seconds / 2, only or DEFAULT_MODEL) as servers:
        return [_row(loaded, each, seconds) for loaded in servers for each in [[], *([kind] for kind in kinds), kinds]]


def _row(loaded: Loaded, kinds: list[Kind], seconds: float) -> Row:
    pings, served, opened = on_clients_cores(loaded.server, _attack(loaded, kinds, seconds))
    latencies = [each.latency if each.status == 200 else float("inf") for each in pings]
    most = max(latencies)
    names = " and ".join(f"{kind.count:,} {kind.name}" for kind in kinds) or "no other connection"
    median, lost = statistics.median(latencies), sum(each.status == LEFT for each in pings)
    return Row(
        f"{loaded.name}: /ping beside {names}",
        "the clock",
        most,
        f"s, the longest of {len(pings)}; {at_most(most, PING_SECONDS)}; median {1000 * median:.1f} ms, "
        f"{lost} without an answer; {opened:,} connections opened; {served:.1f} pictures a second beside them",
    )


async def _attack(loaded: Loaded, kinds: list[Kind], seconds: float) -> tuple[list[Exchange], float, int]:
    port, streams, over = loaded.server.port, list[Stream](), asyncio.Event()
    began = time.monotonic()
    pinging, asking = asyncio.ensure_future(_ping(loaded, over)), asyncio.ensure_future(_ask(loaded, over))
    busy = []
    for kind in kinds:
        opened = await _open(port, kind)
        streams += opened
        if kind.go_on:
            busy.append(asyncio.ensure_future(_go_on(kind.go_on, opened, over)))
    await asyncio.sleep(seconds)
    over.set()
    pings, answered = await pinging, await asking
    elapsed = time.monotonic() - began
    await asyncio.gather(*busy)
    for _, writer in streams:
        writer.transport.abort()
    await asyncio.sleep(0.5)
    return pings, answered / elapsed, len(streams)


async def _open(port: int, kind: Kind) -> list[Stream]:
    """As many as can be opened in time."""
    limit, streams = asyncio.Semaphore(OPENING), list[Stream]()

    async def one() -> None:
        async with limit:
            with suppress(OSError, asyncio.IncompleteReadError):
                stream = await asyncio.open_connection(HOST, port)
                streams.append(stream)
                await kind.begin(stream)

    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(one() for _ in range(kind.count)))
    return streams


async def _go_on(step: Callable[[Stream], Awaitable[None]], streams: list[Stream], over: asyncio.Event) -> None:
    while not over.is_set():
        began = time.monotonic()
        for stream in streams:
            with suppress(OSError):  # the server may have closed it
                await step(stream)
        await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))


async def _ask_once(stream: Stream) -> None:
    reader, writer = stream
    writer.write(PING)
    await reader.readuntil(b"}")


async def _write(stream: Stream, content: bytes) -> None:
    if not stream[1].is_closing():
        stream[1].write(content)
        await stream[1].drain()


async def _ping(loaded: Loaded, over: asyncio.Event) -> list[Exchange]:
    pings = []
    while not over.is_set():
        client = Client(loaded.server.port)
        pings.append(await client.ask(PING, patience=PATIENCE))
        client.close()
        await asyncio.sleep(0.05)
    return pings


async def _ask(loaded: Loaded, over: asyncio.Event) -> int:
    """One client's pictures, one after the other; how many were answered."""
    client, answered = Client(loaded.server.port), 0
    while not over.is_set():
        exchange = await client.ask(next(loaded.requests), patience=PATIENCE)
        answered += exchange.status == 200
        if exchange.status != 200:
            await asyncio.sleep(0.1)
    client.close()
    return answered
