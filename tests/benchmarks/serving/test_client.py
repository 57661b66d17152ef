# SPDX-License-Identifier: Apache-2.0
"""The client that measures: what it charges a server with, and what it does when a server hangs up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from tests.benchmarks.serving.client import GONE, LEFT, Client, closed_loop, open_loop, poisson, request

T = TypeVar("T")
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def test_a_server_that_stands_still_is_charged_with_all_that_came_meanwhile() -> None:
    awake = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read(reader)
        await awake.wait()
        writer.write(OK)

    async def load(client: Client) -> list[float]:
        asyncio.get_running_loop().call_later(0.5, awake.set)
        arrivals = [number / 100 for number in range(40)]
        return [each.latency for each in await open_loop(client, itertools.repeat(request(b"x")), arrivals)]

    latencies = _against(answer, load)
    assert all(latency >= 0.49 - number / 100 for number, latency in enumerate(latencies))


def test_a_refusal_that_comes_before_the_body_was_sent_is_read() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n")
        await asyncio.sleep(1)

    exchange = _against(answer, lambda client: client.ask(request(bytes(50_000_000))))
    assert exchange.status == 429
    assert exchange.sent <= exchange.answered


def test_who_has_no_patience_left_hangs_up() -> None:
    hung_up = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await _read(reader)
        assert not await reader.read()
        hung_up.set()

    async def leave(client: Client) -> int:
        exchange = await client.ask(request(b"x"), patience=0.1)
        await asyncio.wait_for(hung_up.wait(), 10)
        return exchange.status

    assert _against(answer, leave) == LEFT


def test_an_idle_connection_that_was_closed_is_replaced_and_a_dropped_request_is_not_hidden() -> None:
    seen = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        await _read(reader)
        if seen < 3:
            writer.write(OK)
            await writer.drain()
        writer.close()

    async def ask(client: Client) -> list[int]:
        statuses = []
        for _ in range(3):
            statuses.append((await client.ask(request(b"x"))).status)
            await asyncio.sleep(0.1)
        return statuses

    assert _against(answer, ask) == [200, 200, GONE]


def test_nothing_is_sent_behind_half_a_request() -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.read(10_000):
            writer.write(OK)

    async def ask(client: Client) -> int:
        for whole in (True, False, True):
            await client.ask(request(b"x"), whole=whole)
        return connections

    assert _against(answer, ask) == 2


@pytest.mark.parametrize("clients", [1, 3])
def test_a_closed_loop_has_so_many_requests_on_their_way(clients: int) -> None:
    present, most = 0, 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal present, most
        while await _read(reader):
            present += 1
            most = max(most, present)
            await asyncio.sleep(0.01)
            present -= 1
            writer.write(OK)

    done = _against(answer, lambda client: closed_loop(client, itertools.repeat(request(b"x")), clients, 0.0, 30))
    assert (most, {each.status for each in done}) == (clients, {200})
    assert 30 <= len(done) < 30 + clients


def test_poissons_arrivals_are_the_same_for_a_seed_and_scale_with_the_rate() -> None:
    slow, fast = poisson(10, 100, seed=3), poisson(20, 50, seed=3)
    assert slow == pytest.approx([2 * moment for moment in fast])
    assert slow[-1] / len(slow) == pytest.approx(0.1, rel=0.15)
    assert slow != poisson(10, 100, seed=4)


async def _read(reader: asyncio.StreamReader) -> bytes:
    """A request's whole body, or nothing where there is no other request."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
    except (asyncio.IncompleteReadError, OSError):
        return b""


def _against(answer: Answering, ask: Callable[[Client], Awaitable[T]]) -> T:
    """What a client gets of a server that answers so."""

    async def both() -> T:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        client = Client(server.sockets[0].getsockname()[1])
        try:
            return await asyncio.wait_for(ask(client), 30)
        finally:
            client.close()
            server.close()

    return asyncio.run(both())
