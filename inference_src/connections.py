# SPDX-License-Identifier: Apache-2.0
"""What a connection may cost: file descriptors, time and bytes, whatever a client sends or does not send.

uvicorn's protocol parses, answers and keeps connections alive; it waits for ever for a request's headers, takes headers
of any length, and has no say about how many connections there are. Here a connection that waits for its client has a
deadline, and when descriptors run short the one that has let us wait longest is closed, so that a new client, and
SageMaker's own `/ping`, always finds an open door.
"""

import asyncio
import json
import logging
import math
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httptools
import uvicorn
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from inference_src.settings import Settings

MAX_HEADER_BYTES = 64 * 1024
"""What of a request is not its body: its first line, its headers, the lines between its chunks."""
CHUNK_OVERHEAD = 8
"""What may stand around each byte of a chunked body, besides: a chunk of one byte takes five."""
LINGER_SECONDS = 30.0
"""How long the rest of a body that was refused is read and dropped. Else its sender, still sending, would be told that
the connection broke, and not why it was refused."""
LINGER_BYTES = 256 * 2**20
"""How much of it."""
BACKLOG = 4096
"""Connections that the kernel holds until they are accepted, as far as `net.core.somaxconn` allows."""
ACCEPTED_AT_ONCE = 8
"""Connections that are accepted before those that must go for them are closed; four times as many are under way."""
RESERVED_DESCRIPTORS = 96
"""Descriptors that the process needs for itself, and for connections under way."""
SWEEP_SECONDS = 0.25
"""How exact a deadline is."""
_WARNING_SECONDS = 60.0
_BODY_HEADERS = (b"content-length", b"transfer-encoding")

log = logging.getLogger(__name__)


def raise_descriptor_limit() -> int:
    """Let this process have as many open files as it is allowed; returns how many connections that makes.

    A container is often given a soft limit of 1,024 and a hard one of a million.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):  # an unlimited hard limit is not taken everywhere
            log.warning("%d open files are all that the system allows", soft)
    allowed = 2**20 if soft == resource.RLIM_INFINITY else soft
    return max(1, min(2**20, allowed - RESERVED_DESCRIPTORS))


class Connections:
    """All connections that wait for their clients, in the order in which they began to.

    Args:
        settings: Their deadlines.
        limit: How many connections there may be.
    """

    def __init__(self, settings: Settings, limit: int) -> None:
        self.settings = settings
        self._limit = limit
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, float] = {}  # until when each may let us wait
        self._warned = -_WARNING_SECONDS

    def opened(self, connection: "Connection") -> None:
        """Know a connection; where there are too many, the one goes that has let us wait longest."""
        self._open.add(connection)
        if len(self._open) <= self._limit:
            return
        victim = next(iter(self._waiting), connection)
        victim.drop()
        if time.monotonic() - self._warned >= _WARNING_SECONDS:
            self._warned = time.monotonic()
            sentence = "%d connections are open, as many as may be: a new one closes the one that is idle longest"
            log.warning(sentence, self._limit)

    def closed(self, connection: "Connection") -> None:
        """Forget a connection."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def waits(self, connection: "Connection", seconds: float) -> None:
        """Give the client of a connection `seconds` for what it has to do next."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = time.monotonic() + seconds

    def works(self, connection: "Connection") -> None:
        """Note that it is not the client for whom a connection waits."""
        self._waiting.pop(connection, None)

    def sweep(self) -> None:
        """Close for ever what has let us wait too long; to be called every `SWEEP_SECONDS`."""
        now = time.monotonic()
        for connection in [each for each, until in self._waiting.items() if until < now]:
            connection.drop()


async def every(seconds: float, work: Callable[[], None]) -> None:
    """Do work again and again, also when it has failed once."""
    while True:
        await asyncio.sleep(seconds)
        try:
            work()
        except Exception:
            log.exception("what is done every %g s failed", seconds)


def http_server(app: Any, connections: Connections, drain_seconds: int) -> uvicorn.Server:
    """uvicorn with connections of ours; `should_exit` ends it, and no signal.

    Args:
        app: An ASGI application.
        connections: All connections that there will be.
        drain_seconds: How long requests at work may take once it is to end.
    """

    def connect(config: Config, server_state: ServerState, app_state: dict[str, Any], **_: Any) -> Connection:
        return Connection(connections, config, server_state, app_state)

    return _Server(
        Config(
            app,
            http=connect,  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=ACCEPTED_AT_ONCE,
            timeout_keep_alive=math.ceil(connections.settings.idle_seconds),
            timeout_graceful_shutdown=drain_seconds,
        )
    )


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen.

        asyncio accepts as many connections in one go as may queue, and knows of none before all have a descriptor: so
        it is told a small number, and the kernel, which keeps the queue, the real one.
        """
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(BACKLOG)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers as they are: which signals end the server is for its owner to say."""
        yield


class Connection(HttpToolsProtocol):
    """A connection of ours: uvicorn's, with limits."""

    def __init__(
        self, connections: Connections, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._limits = connections
        self._settings = connections.settings
        self._idle = False  # all is answered, and nothing new has come
        self._whole = True  # the last request has come to its end
        self._headed = False  # all headers of the present one are there
        self._declining = False  # its body is read as if it had not offered another protocol
        self._around = self._inside = self._dropped = 0  # bytes of the request
        self._bodies = 0  # bytes of all bodies so far

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The client has as long for its first headers as for all others."""
        super().connection_made(transport)
        self._waits(self._settings.header_seconds)
        self._limits.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._limits.closed(self)
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close at once, whatever has not been sent or read."""
        self._limits.closed(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, if it is not too much around too little."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._idle:  # a new request begins
            self._idle = False
            self._waits(self._settings.header_seconds)
        before = self._bodies
        try:
            self._parse(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # or a second offer behind the first
            self._refuse(400, "this is no HTTP/1.1 request")
            return
        self._around += len(data) - (self._bodies - before)
        if self._around > MAX_HEADER_BYTES + CHUNK_OVERHEAD * self._inside:
            self._refuse(431, f"the headers have more than {MAX_HEADER_BYTES} bytes: send fewer")

    def _parse(self, data: bytes) -> None:
        """Parse; an offer of another protocol, as Java's client makes, is declined and the request answered.

        The parser takes all behind such a head for the other protocol, so that a new one is told of the body.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self.parser, self._declining = httptools.HttpRequestParser(self), True
            length = [name + b": " + value for name, value in self.headers if name in _BODY_HEADERS]
            self.parser.feed_data(b"\r\n".join([b"POST / HTTP/1.1", *length, b"", data[offer.args[0] :]]))

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._declining:
            return
        super().on_message_begin()
        self._whole = False
        self._around = self._inside = self._dropped = 0

    def on_url(self, url: bytes) -> None:
        """A part of the request's address."""
        if not self._declining:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a line behind the last chunk, which nobody reads."""
        if not self._declining and not self._headed:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The application has the request, and its own limit for the body."""
        if self._declining:
            return
        super().on_headers_complete()
        if self.parser.get_http_version() == "1.0":  # knows no answer that comes before the answer
            self.cycle.waiting_for_100_continue = False
        self._headed = True
        self._waits(self._settings.body_seconds + LINGER_SECONDS)

    def on_body(self, body: bytes) -> None:
        """Hand bytes on, or drop those of a request that is answered already."""
        self._inside += len(body)
        self._bodies += len(body)
        if self.cycle.response_complete:
            self._dropped += len(body)
            if self._dropped > LINGER_BYTES:
                self.drop()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of a request is there."""
        if self.parser.should_upgrade():  # its body comes as the new parser reads it
            return
        super().on_message_complete()
        self._whole, self._headed, self._declining = True, False, False
        if self.cycle.response_complete:  # it was refused before
            self._rest()
        else:
            self._works()

    def on_response_complete(self) -> None:
        """An answer is on its way; the client may send the next request, or has to finish this one's body."""
        super().on_response_complete()
        if not self.cycle.response_complete:  # the next request is here already
            return
        if self._whole:
            self._rest()
        else:
            self._waits(LINGER_SECONDS if self._headed else self._settings.header_seconds)

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        super().pause_writing()
        self._limits.waits(self, self._settings.idle_seconds)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        if self._whole and not self.cycle.response_complete:
            self._works()

    def _waits(self, seconds: float) -> None:
        if not self.flow.write_paused:  # else the client has to read first, and has a deadline for that
            self._limits.waits(self, seconds)

    def _works(self) -> None:
        if not self.flow.write_paused:
            self._limits.works(self)

    def _rest(self) -> None:
        self._idle = True
        self._waits(self._settings.idle_seconds)

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer outside of the application, which has not seen the request or does not see the rest of it."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = json.dumps({"error": sentence}).encode()
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()
