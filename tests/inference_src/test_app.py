# SPDX-License-Identifier: Apache-2.0
"""Our own faults are 500 and tell the client nothing of the inside; its slowness is its own, overload 429."""

import asyncio
import json
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from inference_src.app import Service
from inference_src.detections import Detections
from inference_src.errors import RequestError
from inference_src.images import Image
from inference_src.model import ObjectClass
from inference_src.protocols import Model
from inference_src.settings import Settings

CLASSES = [ObjectClass(id=1, name="vehicle")]


class Broken:
    """A runtime that fails inside."""

    def detect(self, image: Image, further: bool = False) -> Detections:  # noqa: ARG002
        raise RuntimeError(f"secret address of {image.shape}")


class NotFinite:
    """A model whose weights went wrong."""

    def detect(self, _: Image, further: bool = False) -> Detections:  # noqa: ARG002
        return Detections(np.full((1, 4), np.nan, np.float32), np.ones(1, np.float32), np.ones(1, np.int32), 1)


class Slow:
    """A model that takes its time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def detect(self, _: Image, further: bool = False) -> Detections:  # noqa: ARG002
        time.sleep(self._seconds)
        return Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.ones(1, np.int32), 1)


@pytest.mark.parametrize("detector", [Broken(), NotFinite()])
def test_a_fault_of_ours_is_500_with_a_sentence(detector: Broken | NotFinite, jpeg: bytes) -> None:
    status, answer = _invoke(detector, [{"type": "http.request", "body": jpeg}])
    assert status == 500
    assert answer == {"error": "the server failed at this request; its log says why"}


def test_a_body_that_does_not_come_is_408() -> None:
    messages = [{"type": "http.request", "body": b"\xff", "more_body": True}]
    status, answer = asyncio.run(_ask(Service(Model(Broken(), CLASSES), 1, Settings(body_seconds=0.05)), messages))
    assert status == 408
    assert "did not come" in answer["error"]


class Full:
    """A runtime without memory for one more picture."""

    def detect(self, _: Image, further: bool = False) -> Detections:  # noqa: ARG002
        raise RequestError(429, "pictures at work take all memory: try again in a moment")


def test_whoever_finds_no_room_is_told_when_to_come_again(jpeg: bytes) -> None:
    sent: list[Any] = []

    async def ask() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": jpeg}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", b"image/jpeg")]
        scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": headers}
        receiving = [receive, _never]
        await Service(Model(Full(), CLASSES), 1)(scope, lambda: receiving.pop(0)(), send)

    asyncio.run(ask())
    assert sent[0]["status"] == 429
    assert (b"retry-after", b"1") in sent[0]["headers"]


async def _never() -> dict[str, Any]:
    await asyncio.sleep(60)
    raise AssertionError("nobody waits so long")


class Ends:
    """A runtime that ends its thread, in every way in which Python can."""

    def __init__(self, errors: list[BaseException]) -> None:
        self._errors = errors

    def detect(self, _: Image, further: bool = False) -> Detections:  # noqa: ARG002
        if self._errors:
            raise self._errors.pop(0)
        return Slow(0).detect(_)


def test_no_end_of_a_thread_costs_a_place(jpeg: bytes) -> None:
    """Some exceptions would end the event loop, or leave the request waiting for ever."""
    ends = [SystemExit(1), StopIteration(), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]
    app = Service(Model(Ends(list(ends)), CLASSES), 1)

    async def send_all() -> list[int]:
        sent = [await _ask(app, [{"type": "http.request", "body": jpeg}]) for _ in range(len(ends) + 1)]
        return [status for status, _ in sent]

    assert asyncio.run(send_all()) == [500] * len(ends) + [200]


def test_a_thread_that_died_is_replaced(jpeg: bytes) -> None:
    before = set(threading.enumerate())
    app = Service(Model(Slow(0), CLASSES), 1)
    (thread,) = set(threading.enumerate()) - before
    app.close()
    thread.join(10)
    status, _ = asyncio.run(_ask(app, [{"type": "http.request", "body": jpeg}]))
    assert status == 200


def _invoke(detector: Broken | NotFinite, messages: list[dict[str, Any]]) -> tuple[int, Any]:
    """Send an image's request straight into an application of its own."""
    return asyncio.run(_ask(Service(Model(detector, CLASSES), 1), messages))


async def _ask(app: Service, messages: list[dict[str, Any]]) -> tuple[int, Any]:
    """Send an image's request straight into an application; after its messages the client says nothing more."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.sleep(60)
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"image/jpeg")]
    scope = {"type": "http", "method": "POST", "path": "/invocations", "query_string": b"", "headers": headers}
    with suppress(RuntimeError, ValueError):  # the framework hands a fault on to the server's log
        await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])
