# SPDX-License-Identifier: Apache-2.0
"""SageMaker's container contract over HTTP: `GET /ping` and `POST /invocations`.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
Whatever a client can mend is answered with 4xx and `{"error": "<sentence>"}`. Decoding and detecting happen in as many
threads as there are cores, one image each; the event loop only moves bytes.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from containers.contract.pictures import MAX_BODY_BYTES
from inference_src.errors import RequestError
from inference_src.model import ObjectClass
from inference_src.protocols import BEGINNING, Answer, Asked, Model, read_headers
from inference_src.runtimes import Detector

MAX_BODY_SECONDS = 60
"""SageMaker gives a whole request no longer."""
MAX_WAITING = 64
"""Requests that may wait for a core before a further one is sent away."""
MAX_WAIT_SECONDS = 1.0
"""How long a request may have to wait for a core. Its caller takes waiting for the model's latency, and so does
SageMaker, which rolls an update back for it: what would wait longer is sent away at once."""
PATIENT_ROUNDS = 1
"""How many requests a core may have waiting however long they take: a slow model still serves several clients."""

_NEWS = 0.2
"""Weight of the newest request in what a request takes."""

log = logging.getLogger(__name__)


def create_app(detector: Detector, classes: list[ObjectClass], parallel: int) -> Starlette:
    """Make the application around a model that is loaded and warm.

    Args:
        detector: The model.
        classes: Its classes, sorted by id.
        parallel: How many images are detected side by side.
    """
    service = Service(detector, classes, parallel)
    return Starlette(
        routes=[
            Route("/ping", service.ping, methods=["GET"]),
            Route("/invocations", service.invocations, methods=["POST"]),
        ],
        exception_handlers={
            RequestError: _refuse,
            HTTPException: _refuse_http,
            ClientDisconnect: _forget,
            Exception: _apologise,
        },
        lifespan=service.lifespan,
    )


class Service:
    """A loaded model, its threads, and the requests that wait for them."""

    def __init__(self, detector: Detector, classes: list[ObjectClass], parallel: int) -> None:
        self._model = Model(detector, classes)
        self._parallel = parallel
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="detect")
        self._present = 0
        self._seconds = 0.0  # that a request takes a core, lately

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Let the threads finish what they have begun when the server ends."""
        yield
        self._threads.shutdown(wait=True)

    async def ping(self, _: Request) -> Response:
        """Say that the model is loaded and has answered an image: before that nobody listens here."""
        return _json({"status": "ready"})

    async def invocations(self, request: Request) -> Response:
        """Detect objects in what the request holds."""
        self._refuse_when_busy()
        self._present += 1
        try:
            asked = read_headers(request.headers)
            body = await _read_in_time(request, asked)
            working = asyncio.get_running_loop().run_in_executor(self._threads, _timed, asked, body, self._model)
            answer, seconds = await working
        finally:
            self._present -= 1
        self._seconds += (seconds - self._seconds) * (_NEWS if self._seconds else 1.0)
        return Response(answer.body, headers=dict(answer.headers), media_type=answer.media_type)

    def _refuse_when_busy(self) -> None:
        waiting = self._present - self._parallel
        too_long = waiting / self._parallel * self._seconds > MAX_WAIT_SECONDS
        if waiting >= MAX_WAITING or (waiting >= PATIENT_ROUNDS * self._parallel and too_long):
            raise RequestError(429, f"{self._present} requests are waiting already: try again in a moment")


def _timed(asked: Asked, body: bytes, model: Model) -> tuple[Answer, float]:
    begun = time.monotonic()
    return asked.answer(body, model), time.monotonic() - begun


async def _read_in_time(request: Request, asked: Asked) -> bytes:
    try:
        async with asyncio.timeout(MAX_BODY_SECONDS):
            body = await _read(request)
            asked.check_beginning(body[:BEGINNING])
            return body
    except TimeoutError as error:
        raise RequestError(408, f"the body did not come within {MAX_BODY_SECONDS} s: send it at once") from error


async def _read(request: Request) -> bytes:
    """Read a body; one that is too long is read on for a while and forgotten, else the client never sees why."""
    body, length = bytearray(), 0
    async for part in request.stream():
        length += len(part)
        if length <= MAX_BODY_BYTES:
            body += part
        elif length > 4 * MAX_BODY_BYTES:
            break
    if length > MAX_BODY_BYTES:
        raise RequestError(413, f"the body has more than {MAX_BODY_BYTES} bytes: send a smaller image")
    return bytes(body)


def _encode(content: dict[str, Any]) -> bytes:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def _json(content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(content), status, headers, "application/json")


async def _refuse(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RequestError) else 400
    log.info("answered %d: %s", status, error)
    return _json({"error": str(error)}, status, {"Retry-After": "1"} if status == 429 else None)


async def _refuse_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    sentence = f"{request.method} {request.url.path[:100]}: there are GET /ping and POST /invocations only"
    return _json({"error": sentence}, status, dict(getattr(error, "headers", None) or {}))


async def _forget(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # nobody is left to read it


async def _apologise(_: Request, error: Exception) -> Response:
    log.error("answered 500", exc_info=error)
    return _json({"error": "the server failed at this request; its log says why"}, 500)
