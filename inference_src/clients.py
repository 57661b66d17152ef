# SPDX-License-Identifier: Apache-2.0
"""Clients of a server that is measured: one request after the other, or as many at once as it has cores."""

import http
import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from inference_src.errors import MeasurementError
from inference_src.records import EncodedImage, read_images
from inference_src.server_process import ServerProcess

WARM_UP_IMAGES = 3
LATENCY_SAMPLES = 300
"""So that three of them stand above the p99."""
LATENCY_SECONDS = 60
"""After which a slow detector's samples are as many as there are."""
LATENCY_IMAGES, LATENCY_BYTES = 100, 64 * 2**20
"""The images that are sent for the samples, again and again where they are fewer."""


@dataclass(frozen=True)
class Answered:
    """What a server says of an image with N detections.

    Attributes:
        source_id: The image's.
        boxes: float32 [N, 4], ymin, xmin, ymax, xmax as fractions.
        scores: float32 [N].
        classes: int32 [N], each its position among the model's classes sorted by id.
        refused: Why the server did not take the image, which then has no detections; None where it did.
    """

    source_id: str
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    refused: str | None = None

    @classmethod
    def of(cls, source_id: str, answer: dict[str, Any], refused: str | None = None) -> Self:
        """Read the answer of the built-in protocol, whose boxes are xmin, ymin, xmax, ymax."""
        corners = np.array(answer["normalized_boxes"], np.float32).reshape(-1, 4)
        scores, classes = np.array(answer["scores"], np.float32), np.array(answer["classes"], np.int32)
        return cls(source_id, corners[:, [1, 0, 3, 2]], scores, classes, refused)


def sequential_latencies(server: ServerProcess, folder: Path) -> list[float]:
    """Give the seconds of requests that are sent one after the other, after a few that do not count.

    Requests that the server refuses or has wait are left out.
    """
    images = deque(_first_images(folder))
    for image in list(images)[:WARM_UP_IMAGES]:
        server.ask(image.encoded)
    latencies: list[float] = []
    begun = time.monotonic()
    while images and len(latencies) < LATENCY_SAMPLES and time.monotonic() - begun < LATENCY_SECONDS:
        image, waits, started = images.popleft(), server.told_to_wait, time.monotonic()
        status, _ = server.ask(image.encoded)
        if status == http.HTTPStatus.OK:
            images.append(image)
            if server.told_to_wait == waits:
                latencies.append(time.monotonic() - started)
    return latencies


def _first_images(folder: Path) -> Iterator[EncodedImage]:
    size = 0
    for number, image in enumerate(read_images(folder)):
        size += len(image.encoded)
        if number and (number >= LATENCY_IMAGES or size > LATENCY_BYTES):
            return
        yield image


def ask_side_by_side(server: ServerProcess, images: Iterable[EncodedImage], clients: int) -> Iterator[Answered]:
    """Keep the clients busy, hold few images in memory, and give the answers in the images' order.

    An answer of 4xx is the image's fault, and says why it was refused.

    Raises:
        MeasurementError: The server answers with anything else.
    """
    with ThreadPoolExecutor(clients) as threads:
        ahead: deque[Future[Answered]] = deque()
        try:
            for image in images:
                ahead.append(threads.submit(_answer, server, image))
                if len(ahead) > 2 * clients:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for each in ahead:
                each.cancel()


def _answer(server: ServerProcess, image: EncodedImage) -> Answered:
    status, body = server.ask(image.encoded)
    if status == http.HTTPStatus.OK:
        return Answered.of(image.source_id, json.loads(body))
    sentence = f"test image {image.source_id!r} was answered with {status}: {_sentence(body)}"
    if not 400 <= status < 500:
        raise MeasurementError(sentence)
    return Answered.of(image.source_id, {"normalized_boxes": [], "scores": [], "classes": []}, sentence)


def _sentence(body: bytes) -> str:
    """What the server says in a refusal, which is a JSON object with `error`."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:300].decode(errors="replace")
