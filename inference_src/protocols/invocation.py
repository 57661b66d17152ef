# SPDX-License-Identifier: Apache-2.0
"""One request to `/invocations`, from its headers to its answer."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from inference_src.detections import Detections
from inference_src.errors import RequestError
from inference_src.images import Image, decode_image
from inference_src.model import ObjectClass
from inference_src.protocols import builtin, tensorflow_serving
from inference_src.protocols.accept import Wanted, read_accept
from inference_src.runtimes import Detector

BEGINNING = 16
"""How many of a body's first bytes tell what it is."""
IMAGE_TYPES = ("application/x-image", "image/jpeg", "image/png")
JSON = "application/json"


@dataclass(frozen=True)
class Model:
    """What answers.

    Attributes:
        detector: The model, loaded and warm.
        classes: Its classes, sorted by id.
    """

    detector: Detector
    classes: list[ObjectClass]


@dataclass(frozen=True)
class Answer:
    """What a request is answered with, and what is worth writing down of it.

    Attributes:
        body: The bytes of the answer.
        media_type: Their content type.
        headers: Further headers of the answer.
        images: How many images were looked at.
        pixels: Their pixels together, as they were decoded.
        detections: How many objects the answer tells of.
        milliseconds: By stage: `decode` from bytes to pixels, `detect`, `encode` from detections to bytes.
    """

    body: bytes
    media_type: str
    headers: Mapping[str, str]
    images: int
    pixels: int
    detections: int
    milliseconds: Mapping[str, float]


def read_headers(headers: Mapping[str, str]) -> "Asked":
    """Read what a request asks for from its headers.

    Args:
        headers: By name, in small letters.

    Raises:
        RequestError: 406 the client takes no form that an answer has; 400 a parameter of ours is wrong.
    """
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return Asked(content_type, read_accept(headers.get("accept")))


@dataclass(frozen=True)
class Asked:
    """A request whose headers are in order.

    Attributes:
        content_type: What the client says that the body is, without parameters, in small letters; empty if nothing.
        wanted: What the answer is to hold.
    """

    content_type: str
    wanted: Wanted

    def check_beginning(self, first: bytes) -> None:  # noqa: ARG002
        """Refuse a body by its first `BEGINNING` bytes, or by all of a shorter one.

        Raises:
            RequestError: 415 no form that is understood.
        """
        if self.content_type in (*IMAGE_TYPES, JSON):
            return
        known = ", ".join((*IMAGE_TYPES, JSON))
        raise RequestError(415, f"Content-Type {self.content_type[:100] or 'is missing'}: send one of {known}")

    def answer(self, body: bytes, model: Model) -> Answer:
        """Detect objects in what the body holds; takes a core for as long as it lasts.

        Raises:
            RequestError: 4xx the body cannot be worked with.
        """
        work = _Work(model.detector)
        if self.content_type == JSON:
            found = [work.detect(image) for image in work.read(tensorflow_serving.read_instances(body))]
            told = {"predictions": [tensorflow_serving.prediction(detections) for detections in found]}
        else:
            found = [work.detect(image) for image in work.read(decode_image(body) for _ in range(1))]
            told = builtin.answer(found[0], model.classes, self.wanted)
        with work.stage("encode"):
            encoded = json.dumps(told, allow_nan=False, separators=(",", ":")).encode()
        count = sum(detections.count for detections in found)
        return Answer(encoded, JSON, {}, len(found), work.pixels, count, work.milliseconds)


@dataclass
class _Work:
    """The work on one request, and how long its stages took."""

    detector: Detector
    pixels: int = 0
    milliseconds: dict[str, float] = field(default_factory=lambda: {"decode": 0.0, "detect": 0.0, "encode": 0.0})

    def read(self, images: Iterator[Image]) -> Iterator[Image]:
        """Hand images on one by one."""
        while True:
            with self.stage("decode"):
                image = next(images, None)
            if image is None:
                return
            self.pixels += image.shape[0] * image.shape[1]
            yield image

    def detect(self, image: Image) -> Detections:
        """Find objects in one image."""
        with self.stage("detect"):
            return self.detector.detect(image)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of what is done inside."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.milliseconds[name] += (time.monotonic() - begun) * 1000
