# SPDX-License-Identifier: Apache-2.0
"""SageMaker's container contract over HTTP: `GET /ping`, `POST /invocations`, `GET /execution-parameters`.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
Whatever a client can mend is answered with 4xx and `{"error": "<sentence>"}`, as soon as it is known: what is still
sent of a refused body is dropped by the connection. A request's body is read whole before it takes a place among those
that wait for a core. Decoding and detecting happen in as many threads as there are cores, one image each; the event
loop only moves bytes. This is a plain ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html): three
addresses need no framework.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from inference_src.admission import BusyError, Cores, FailedError, LeftError
from inference_src.bodies import Bodies
from inference_src.errors import RequestError
from inference_src.heap import Heap
from inference_src.journal import Entry, Journal
from inference_src.protocols import BEGINNING, Answer, Asked, Model, read_headers
from inference_src.protocols.custom_attributes import HEADER
from inference_src.settings import MAX_BATCH_MEGABYTES, MAX_HELD_BYTES, Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ADDRESSES = {"/ping": ("GET", "HEAD"), "/execution-parameters": ("GET", "HEAD"), "/invocations": ("POST",)}
LISTS = ("accept", "content-encoding", HEADER)
"""Headers that may come in several lines: https://www.rfc-editor.org/rfc/rfc9110#section-5.3 ."""
THERE_ARE = "there are GET /ping, GET /execution-parameters and POST /invocations only"

log = logging.getLogger(__name__)


class Service:
    """A loaded model, its threads, and the requests that wait for them: an ASGI application.

    Args:
        model: What answers, loaded and warm.
        parallel: How many images are detected side by side.
        settings: The server's settings.
        journal: Where requests are written down.
    """

    def __init__(
        self, model: Model, parallel: int, settings: Settings | None = None, journal: Journal | None = None
    ) -> None:
        self.settings = settings = settings or Settings()
        self.journal = journal or Journal(settings.metrics_namespace)
        self._model = model
        self._parallel = parallel
        self._cores = Cores(parallel, settings.max_wait_seconds)
        self._bodies = Bodies(MAX_HELD_BYTES)
        self._heap = Heap()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, method = scope["path"].rstrip("/") or "/", scope["method"]
        methods = ADDRESSES.get(path)
        if methods is None or method not in methods:
            sentence = f"{method} {scope['path'][:100]}: {THERE_ARE}"
            allow = {"allow": ", ".join(methods)} if methods else {}
            await _reply(send, 405 if methods else 404, {"error": sentence}, allow | _closing(_headers(scope)))
        elif path == "/ping":  # nobody listens here before the model has answered an image
            await _reply(send, 200, {"status": "ready"})
        elif path == "/execution-parameters":
            await _reply(send, 200, self._execution_parameters())
        else:
            await self._invocations(_headers(scope), receive, send)

    def tick(self) -> None:
        """What is to be done now and then: metrics of a minute in which few requests came, and memory when idle."""
        self.journal.tick()
        if self._cores.idle and not self._bodies.held:
            self._heap.give_back()

    def close(self) -> None:
        """Let the threads finish what they have begun, and write down what is not written yet."""
        self._cores.close()
        self.journal.flush()

    def _execution_parameters(self) -> dict[str, Any]:
        """How batch transform should ask: a picture a request, one for each core, within what SageMaker takes together.

        MaxConcurrentTransforms times MaxPayloadInMB must not exceed 100 MB:
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html
        """
        side_by_side = min(self._parallel, MAX_BATCH_MEGABYTES)
        return {
            "MaxConcurrentTransforms": side_by_side,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": MAX_BATCH_MEGABYTES // side_by_side,
        }

    async def _invocations(self, headers: Mapping[str, str], receive: Receive, send: Send) -> None:
        """Detect objects in what the request holds."""
        entry = Entry.of(headers)
        try:
            answer = await self._answer(headers, receive, entry)
            entry.status, entry.outcome, entry.bytes_out = 200, "answered", len(answer.body)
            await _send(send, 200, answer.body, answer.media_type, answer.headers)
        except LeftError:
            entry.outcome = "left"
        except RequestError as error:
            await _refuse(send, error, entry, headers)
        except Exception as error:
            entry.status, entry.outcome = 500, "failed"
            log.error("answered 500", exc_info=error.__cause__ if isinstance(error, FailedError) else error)
            await _reply(send, 500, {"error": "the server failed at this request; its log says why"})
        finally:
            self._heap.use(entry.bytes_in + 3 * entry.pixels)  # of a decoded picture three bytes a pixel
            self.journal.request(entry)

    async def _answer(self, headers: Mapping[str, str], receive: Receive, entry: Entry) -> Answer:
        asked = read_headers(headers)
        announced = _announced(headers)
        if announced > self.settings.max_body_bytes:
            raise self._too_long()
        await self._cores.refuse_if_busy()
        parts = self._parts(receive, asked, entry)
        body = await self._bodies.read(parts, self.settings.body_seconds, announced)
        entry.milliseconds["read"] = _since(entry.begun)
        left = asyncio.ensure_future(_leaving(receive))
        try:
            answer = await self._cores.run(
                lambda: asked.answer(body.take(), self._model), body.size, left, entry.milliseconds
            )
            gone = left.done()
        finally:
            left.cancel()
            self._bodies.let_go(body)
        entry.milliseconds.update(answer.milliseconds)
        entry.images, entry.pixels, entry.detections = answer.images, answer.pixels, answer.detections
        if gone:
            raise LeftError
        return answer

    async def _parts(self, receive: Receive, asked: Asked, entry: Entry) -> AsyncIterator[bytes]:
        """A body's parts, until one shows that it will be refused.

        Raises:
            LeftError: The client has gone before all was there.
            RequestError: 413 or 415.
        """
        beginning, checked, more = b"", False, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise LeftError
            part: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            entry.bytes_in += len(part)
            if entry.bytes_in > self.settings.max_body_bytes:
                raise self._too_long()
            if not checked:
                beginning += part[:BEGINNING]
                if len(beginning) >= BEGINNING or not more:
                    asked.check_beginning(beginning[:BEGINNING])
                    checked = True
            if part:
                yield part

    def _too_long(self) -> RequestError:
        return RequestError(413, f"the body has more than {self.settings.max_body_bytes} bytes: send a smaller image")


def _headers(scope: Scope) -> dict[str, str]:
    """A request's headers by their names in small letters; of those that come twice the first, of lists all."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        if key not in headers:
            headers[key] = text
        elif key in LISTS:
            headers[key] += f",{text}"
    return headers


def _announced(headers: Mapping[str, str]) -> int:
    """How long a body will be by its own account; 0 where it does not say."""
    text = headers.get("content-length", "")
    return int(text[:19]) if text.isascii() and text.isdigit() else 0


async def _leaving(receive: Receive) -> None:
    """Wait until the client closes its connection; nothing else comes after a body."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _since(moment: float) -> float:
    return (time.monotonic() - moment) * 1000


async def _refuse(send: Send, error: RequestError, entry: Entry, asked: Mapping[str, str]) -> None:
    """Answer 4xx."""
    entry.status, entry.outcome = error.status, "busy" if error.status == 429 else "refused"
    headers = {} if entry.bytes_in else _closing(asked)
    if error.status == 429:
        headers["retry-after"] = str(error.retry_after if isinstance(error, BusyError) else 1)
    await _reply(send, error.status, {"error": str(error)}, headers)


def _closing(asked: Mapping[str, str]) -> dict[str, str]:
    """Who asked whether to send a body at all, and is refused, sends none: nothing else can follow then."""
    return {"connection": "close"} if "expect" in asked else {}


async def _reply(send: Send, status: int, content: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
    body = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    await _send(send, status, body, "application/json", headers or {})


async def _send(send: Send, status: int, body: bytes, media_type: str, headers: Mapping[str, str]) -> None:
    told = {"content-type": media_type, "content-length": str(len(body)), **headers}
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
