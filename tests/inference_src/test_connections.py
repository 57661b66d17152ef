# SPDX-License-Identifier: Apache-2.0
"""No client costs another one its connection: not by being idle, by being slow, by its number, or by what it sends."""

import asyncio
import http.client
import json
import logging
import resource
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inference_src import connections as limits
from inference_src.connections import Connections, every, http_server, raise_descriptor_limit
from inference_src.settings import Settings

if TYPE_CHECKING:
    from tests.inference_src.conftest import Served, Servers

PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
SHORT = Settings(header_seconds=0.3, body_seconds=30, idle_seconds=0.6)


async def answers_its_length(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads a body, or refuses it unread under `/refuse`."""
    length, more = 0, scope["path"] != "/refuse"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message["body"])
        more = message["more_body"]
    body = str(length).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


Asks = Callable[[bytes], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@asynccontextmanager
async def listening(settings: Settings = SHORT, limit: int = 100) -> AsyncIterator[Asks]:
    """A server in this process; what it gives opens a connection and sends some first bytes."""
    connections = Connections(settings, limit)
    server = http_server(answers_its_length, connections, 1)
    sockets = [socket.create_server(("127.0.0.1", 0))]
    port = sockets[0].getsockname()[1]

    async def ask(data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        await writer.drain()
        return reader, writer

    serving = asyncio.ensure_future(server.serve(sockets))
    sweeping = asyncio.ensure_future(every(0.05, connections.sweep))
    while not server.started:
        await asyncio.sleep(0.01)
    yield ask
    server.should_exit = True
    await serving
    sweeping.cancel()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One response."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    return int(head.split()[1]), await reader.readexactly(int(lines[b"content-length"]))


def test_pings_are_answered_in_time_beside_thousands_that_are_idle_or_slow(server: "Served", jpeg: bytes) -> None:
    """SageMaker gives `/ping` two seconds, and one connection for each of these waits for its client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    number = min(2000, (hard - 500) // 2)
    held = []
    try:
        slow = POST + b"Content-Length: 100000\r\n\r\n" + jpeg[:3]
        for first, count in ((POST, number // 4), (slow, number // 4), (PING, number)):
            for _ in range(count):
                held.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
                held[-1].sendall(first)
        assert all(each.recv(15) == b"HTTP/1.1 200 OK" for each in held[-number:])
        delays = []
        for _ in range(10):
            begun = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("GET", "/ping")
            assert connection.getresponse().status == 200
            connection.close()
            delays.append(time.monotonic() - begun)
        assert max(delays) < 2
        assert server.request(jpeg, "image/jpeg")[0] == 200
    finally:
        for each in held:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_descriptors_never_run_out(servers: "Servers", model_dir: Path) -> None:
    """Five times as many connections as there may be: those that are idle longest go, and the log says so, once."""
    servers.descriptors = 300
    server = servers.start(model_dir, MAPGATE_RUNTIME="openvino")
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(1500)]
    for _ in range(10):
        begun = time.monotonic()
        assert server.request(None, path="/ping")[0] == 200
        assert time.monotonic() - begun < 2
    for each in held:
        each.close()
    time.sleep(0.3)  # for the log
    (line,) = [line for line in map(json.loads, server.log.read_text().splitlines()) if line["level"] != "INFO"]
    assert line["message"].startswith("204 connections are open, as many as may be")


@pytest.mark.parametrize("first", [b"", b"POST /invoca", POST, PING])
def test_who_sends_no_headers_in_time_is_closed(first: bytes) -> None:
    """So is a connection that is idle after an answer, and one that never said anything."""

    async def closed() -> bytes:
        async with listening() as ask:
            reader, _ = await ask(first)
            return await asyncio.wait_for(reader.read(), 10)

    assert asyncio.run(closed()).count(b"HTTP/1.1 200 OK") == (first == PING)


@pytest.mark.parametrize("before", [b"", PING])
@pytest.mark.parametrize(("first", "drip"), [(b"", b"\r\n"), (b"GET /ping HTTP/1.1\r\nX: ", b"a")])
def test_a_byte_now_and_then_buys_no_time(before: bytes, first: bytes, drip: bytes) -> None:
    """Neither one of a header, nor the empty lines that may stand before a request."""

    async def dripped() -> int:
        async with listening() as ask:
            reader, writer = await ask(before + first)
            ended = asyncio.ensure_future(reader.read())
            for number in range(100):
                if ended.done():
                    return number
                writer.write(drip)
                await asyncio.sleep(0.1)
            return 100

    assert asyncio.run(dripped()) < 50


def test_who_does_not_read_answers_is_closed() -> None:
    async def closed() -> None:
        async with listening() as ask:
            reader, writer = await ask(b"")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(3000):
                writer.write(PING * 100)
                if writer.transport.is_closing():
                    return
                await asyncio.sleep(0.005)
            pytest.fail(f"still open: {reader}")

    asyncio.run(closed())


def test_who_is_slow_but_within_time_is_answered() -> None:
    async def answered() -> tuple[int, bytes]:
        async with listening(Settings(header_seconds=5, idle_seconds=5)) as ask:
            reader, writer = await ask(b"")
            for byte in POST + b"Content-Length: 3\r\n\r\nabc":
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            return await answer(reader)

    assert asyncio.run(answered()) == (200, b"3")


def test_where_there_are_too_many_the_one_goes_that_is_idle_longest(caplog: pytest.LogCaptureFixture) -> None:
    async def first_and_rest() -> tuple[bytes, list[tuple[int, bytes]]]:
        async with listening(Settings(), limit=3) as ask:
            first, _first = await ask(PING)
            await answer(first)
            later = [await ask(PING) for _ in range(3)]
            rest = [await answer(reader) for reader, _ in later]
            return await asyncio.wait_for(first.read(), 10), rest

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(first_and_rest()) == (b"", [(200, b"0")] * 3)
    assert "3 connections are open, as many as may be" in caplog.text


def test_the_rest_of_a_refused_body_is_dropped_and_the_connection_goes_on() -> None:
    async def twice() -> list[tuple[int, bytes]]:
        async with listening() as ask:
            reader, writer = await ask(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 6000000\r\n\r\n")
            refused = await answer(reader)
            writer.write(bytes(6_000_000))
            await writer.drain()
            writer.write(POST + b"Content-Length: 2\r\n\r\nab")
            return [refused, await answer(reader)]

    assert asyncio.run(twice()) == [(200, b"0"), (200, b"2")]


@pytest.mark.parametrize(("name", "bound", "sent"), [("LINGER_BYTES", 2**20, 2**23), ("LINGER_SECONDS", 0.3, 10)])
def test_dropping_has_an_end(monkeypatch: pytest.MonkeyPatch, name: str, bound: float, sent: int) -> None:
    monkeypatch.setattr(limits, name, bound)

    async def cut() -> bytes:
        async with listening(Settings()) as ask:
            reader, writer = await ask(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n")
            await answer(reader)
            try:
                writer.write(bytes(sent))
                await writer.drain()
                return await asyncio.wait_for(reader.read(), 10)
            except ConnectionError:
                return b""

    assert asyncio.run(cut()) == b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET  HTTP/9\r\n\r\n", 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400),
        (b"GET /ping HTTP/1.1\r\nX: " + b"a" * 70_000, 431),
        (b"GET /" + b"a" * 70_000, 431),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: " + b"a" * 70_000, 431),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 70_000, 431),
    ],
)
def test_what_is_no_http_or_all_headers_is_refused_with_a_sentence(data: bytes, status: int) -> None:
    async def answered() -> tuple[int, bytes]:
        async with listening() as ask:
            reader, _ = await ask(data)
            return await answer(reader)

    answered_status, body = asyncio.run(answered())
    assert (answered_status, body[:10]) == (status, b'{"error": ')


def test_a_body_in_chunks_of_one_byte_is_read() -> None:
    async def answered() -> tuple[int, bytes]:
        async with listening() as ask:
            reader, _ = await ask(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n")
            return await answer(reader)

    assert asyncio.run(answered()) == (200, b"50000")


def test_http_1_0_is_not_told_to_go_on() -> None:
    """It knows no answer before the answer: https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1 ."""

    async def answered() -> tuple[int, bytes]:
        async with listening() as ask:
            reader, _ = await ask(POST.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab")
            return await answer(reader)

    assert asyncio.run(answered()) == (200, b"2")


@pytest.mark.parametrize("cut", [0, 40, 130])
def test_an_offer_of_http_2_is_declined_and_its_request_answered(cut: int) -> None:
    """Java's client makes it with every first request."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"

    async def answered() -> list[tuple[int, bytes]]:
        async with listening() as ask:
            data = POST + offer + b"Content-Length: 5\r\n\r\nabcde" + PING
            reader, writer = await ask(data[:cut])
            await asyncio.sleep(0.05)
            writer.write(data[cut:])
            got = [await answer(reader), await answer(reader)]
            writer.write(POST + offer + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
            return [*got, await answer(reader)]

    assert asyncio.run(answered()) == [(200, b"5"), (200, b"0"), (200, b"2")]


def test_as_many_descriptors_are_taken_as_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 5000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: asked.append(limit))
    assert raise_descriptor_limit() == 5000 - limits.RESERVED_DESCRIPTORS
    assert asked == [(5000, 5000)]


def test_what_is_done_now_and_then_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    done = []

    def work() -> None:
        done.append(1)
        raise ValueError("once")

    async def run() -> None:
        task = asyncio.ensure_future(every(0.01, work))
        while len(done) < 3:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))
    assert "what is done every 0.01 s failed" in caplog.text
