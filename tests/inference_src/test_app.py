# SPDX-License-Identifier: Apache-2.0
"""Our own faults are 500 and tell the client nothing of the inside; its slowness is its own, overload 429."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette

from inference_src import app as application
from inference_src.app import create_app
from inference_src.detections import Detections
from inference_src.images import Image
from inference_src.model import ObjectClass

CLASSES = [ObjectClass(id=1, name="vehicle")]


class Broken:
    """A runtime that fails inside."""

    def detect(self, image: Image) -> Detections:
        raise RuntimeError(f"secret address of {image.shape}")


class NotFinite:
    """A model whose weights went wrong."""

    def detect(self, _: Image) -> Detections:
        return Detections(np.full((1, 4), np.nan, np.float32), np.ones(1, np.float32), np.ones(1, np.int32), 1)


class Slow:
    """A model that takes its time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def detect(self, _: Image) -> Detections:
        time.sleep(self._seconds)
        return Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.ones(1, np.int32), 1)


@pytest.mark.parametrize("detector", [Broken(), NotFinite()])
def test_a_fault_of_ours_is_500_with_a_sentence(detector: Broken | NotFinite, jpeg: bytes) -> None:
    status, answer = _invoke(detector, [{"type": "http.request", "body": jpeg}])
    assert status == 500
    assert answer == {"error": "the server failed at this request; its log says why"}


def test_a_body_that_does_not_come_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "MAX_BODY_SECONDS", 0.05)
    status, answer = _invoke(Broken(), [{"type": "http.request", "body": b"\xff", "more_body": True}])
    assert status == 408
    assert "did not come" in answer["error"]


@pytest.mark.parametrize(("longest", "sent_away"), [(60.0, 0), (0.1, 4)])
def test_who_would_wait_too_long_for_a_core_is_sent_away(
    monkeypatch: pytest.MonkeyPatch, jpeg: bytes, longest: float, sent_away: int
) -> None:
    """Waiting is latency, on which an update rolls back; one a core may always wait, however slow the model."""
    monkeypatch.setattr(application, "MAX_WAIT_SECONDS", longest)

    async def send_many() -> list[int]:
        app = create_app(Slow(0.2), CLASSES, 1)
        first = await _ask(app, [{"type": "http.request", "body": jpeg}])
        rest = await asyncio.gather(*(_ask(app, [{"type": "http.request", "body": jpeg}]) for _ in range(6)))
        return [first[0], *(status for status, _ in rest)]

    statuses = asyncio.run(send_many())
    assert (statuses.count(200), statuses.count(429)) == (7 - sent_away, sent_away)


def _invoke(detector: Broken | NotFinite, messages: list[dict[str, Any]]) -> tuple[int, Any]:
    """Send an image's request straight into an application of its own."""
    return asyncio.run(_ask(create_app(detector, CLASSES, 1), messages))


async def _ask(app: Starlette, messages: list[dict[str, Any]]) -> tuple[int, Any]:
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
