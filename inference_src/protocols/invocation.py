# SPDX-License-Identifier: Apache-2.0
"""One request to `/invocations`, from its headers to its answer.

What a body is, its first bytes say: clients send pictures as `image/jpg`, `application/octet-stream`,
`file-path/raw-bytes` or as nothing at all, and curl calls JSON a form.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic_core import to_json

from containers.contract.picture_header import JPEG, PNG
from containers.contract.pictures import MAX_PIXELS
from inference_src.detections import Detections
from inference_src.errors import RequestError
from inference_src.images import Image, decode_image, decoded_image
from inference_src.model import ObjectClass
from inference_src.picture_memory import PictureMemory
from inference_src.protocols import builtin, npy, tensorflow_serving
from inference_src.protocols.accept import JSON, LINES, NPY, Wanted, read_accept
from inference_src.protocols.custom_attributes import (
    HEADER,
    OUTPUTS,
    Attributes,
    check_classes,
    one_spelling,
    read_attributes,
)
from inference_src.runtimes import Detector
from inference_src.selection import Selection
from inference_src.tiles import detect_in_tiles, window_bytes

BEGINNING = 16
"""How many of a body's first bytes tell what it is."""
MEMORY_SECONDS = 5.0
"""How long an image waits for the memory that others take."""
MAX_LOOKS = 128
"""Images and windows of one request."""
IMAGE_TYPES = ("application/x-image", "image/jpeg", "image/jpg", "image/png")
LINES_TYPES = (LINES, "application/jsons", "application/x-jsonlines")
JSON_TYPES = (JSON, *LINES_TYPES)
UNTOLD_TYPES = ("", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain")
"""Of clients that do not say what they send; curl's own is the third."""
CODINGS = frozenset(("br", "compress", "deflate", "gzip", "x-compress", "x-gzip", "zstd"))
"""What HTTP calls compressing: https://www.iana.org/assignments/http-parameters/http-parameters.xhtml ."""
COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""First bytes, by which alone it is known at an endpoint: `InvokeEndpoint` passes on no other headers than its own,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html . Batch transform unpacks."""

Form = Literal["image", "json", "npy"]


@dataclass(frozen=True)
class Model:
    """What answers.

    Attributes:
        detector: The model, loaded and warm.
        classes: Its classes, sorted by id.
        memory: What decoded images may take together; None bounds each of them only.
    """

    detector: Detector
    classes: list[ObjectClass]
    memory: PictureMemory | None = None


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
    coding = headers.get("content-encoding", "").strip().lower()
    wanted, attributes = read_accept(headers.get("accept")), read_attributes(headers.get(HEADER))
    if attributes.outputs and wanted.media_type == NPY:
        raise RequestError(400, f"{HEADER}: {OUTPUTS}: there is no place for them in {NPY}; accept {JSON}")
    return Asked(content_type, wanted, attributes, coding)


@dataclass(frozen=True)
class Asked:
    """A request whose headers are in order.

    Attributes:
        content_type: What the client says that the body is, without parameters, in small letters; empty if nothing.
        wanted: What form the answer is to have.
        attributes: What it is to tell of.
        coding: Content-Encoding, in small letters; empty if there is none.
    """

    content_type: str
    wanted: Wanted
    attributes: Attributes
    coding: str = ""

    def check_beginning(self, first: bytes) -> None:
        """Refuse a body by its first `BEGINNING` bytes, or by all of a shorter one.

        Raises:
            RequestError: 415 no form that is understood; 400 there is nothing, or no UTF-8.
        """
        self._form(first)

    def answer(self, body: bytes, model: Model) -> Answer:
        """Detect objects in what the body holds; takes a core for as long as it lasts.

        Raises:
            RequestError: 4xx the body cannot be worked with, or a class is asked for that the model has not.
        """
        check_classes(self.attributes, [entry.name for entry in model.classes])
        work = _Work(model, self.attributes)
        match self._form(body[:BEGINNING]):
            case "image":
                form = "picture"
                found = work.detect(work.picture(body))
            case "npy":
                with work.stage("decode"):
                    images, alone = npy.read_npy(body, tensorflow_serving.MAX_INSTANCES)
                form = "image" if alone else "rows"
                found = work.detect(iter(images), len(images))
            case "json":
                with work.stage("decode"):
                    request = tensorflow_serving.read_request(body, lines=self.content_type in LINES_TYPES)
                form = request.form
                found = work.detect(request.images(decoded=work.decoded), len(request.instances))
        with work.stage("encode"):
            encoded, count = self._encoded(found, form, model)
        headers = {HEADER: self.attributes.text} if self.attributes.text else {}
        media_type = self.wanted.media_type
        return Answer(encoded, media_type, headers, len(found), work.pixels, count, work.milliseconds)

    def _form(self, first: bytes) -> Form:
        """What a body is by its first bytes, or else by what the client says of it."""
        if first.startswith((JPEG, PNG)):
            return "image"
        if not first:
            raise RequestError(400, "the body is empty: send the bytes of a JPEG or PNG file, JSON, or an .npy file")
        if first.startswith(npy.MAGIC):
            return "npy"
        _check_coding(self.coding, first)
        if self.content_type == NPY:
            return "npy"
        if self.content_type in (*JSON_TYPES, *UNTOLD_TYPES) and _is_wide(first):
            raise RequestError(400, "the body is JSON in UTF-16 or UTF-32: encode it as UTF-8")
        if self.content_type in JSON_TYPES:
            return "json"
        if self.content_type in UNTOLD_TYPES and first.lstrip(b" \t\n\r")[:1] in (b"{", b"[", b"\xef", b""):
            return "json"
        raise self._not_understood()

    def _not_understood(self) -> RequestError:
        """What a body is that is neither of what is understood, and what to do."""
        name = f"Content-Type {self.content_type[:100] or 'is missing'}"
        if self.content_type in UNTOLD_TYPES:
            kinds = "the body is neither JPEG nor PNG, .npy nor JSON by its first bytes"
            return RequestError(415, f"{name}, and {kinds}: convert the image to JPEG or PNG")
        if self.content_type.startswith("image/") or self.content_type in IMAGE_TYPES:
            kinds = "the image is neither JPEG nor PNG by its first bytes"
            return RequestError(415, f"{name}: {kinds}: convert it to one of them")
        if self.content_type.startswith("multipart/"):
            return RequestError(415, f"{name}: send the picture's bytes as the whole body")
        return RequestError(415, f"{name}: send one of {', '.join((*IMAGE_TYPES, JSON, LINES, NPY))}")

    def _encoded(self, found: Sequence["Found"], form: str, model: Model) -> tuple[bytes, int]:
        """The answer's bytes, and how many objects it tells of."""
        selected = [each.selected for each in found]
        count = sum(detections.count for detections in selected)
        if self.wanted.media_type == NPY:
            return npy.write_npy(selected, alone=form in ("picture", "image")), count
        outputs = self.attributes.outputs
        told: dict[str, Any]
        if form == "picture":
            verbose = self.wanted.verbose or bool(outputs)
            output = tensorflow_serving.prediction(found[0].whole, outputs) if verbose else None
            told = builtin.answer(selected[0], model.classes, self.wanted.n_predictions, output)
            count = len(told["scores"])
        else:
            predictions = [tensorflow_serving.prediction(detections, outputs) for detections in selected]
            columns = form == "columns"
            told = {"outputs": tensorflow_serving.in_columns(predictions)} if columns else {"predictions": predictions}
        return to_json(told), count


@dataclass(frozen=True)
class Found:
    """What was found in an image: all of it, and what the client wants to be told of."""

    whole: Detections
    selected: Detections


class _Work:
    """The work on one request, and how long its stages took."""

    def __init__(self, model: Model, attributes: Attributes) -> None:
        self._model = model
        self._attributes = attributes
        self._selection = _selection(attributes, model.classes)
        self.pixels = 0
        self.milliseconds = {"decode": 0.0, "detect": 0.0, "encode": 0.0}

    def picture(self, encoded: bytes) -> Iterator[Image]:
        """Give the only image of a request that is its bytes."""
        with self.decoded(encoded, MAX_PIXELS) as image:
            yield image
            del image  # before its memory is another's

    def decoded(self, encoded: bytes, max_pixels: int) -> AbstractContextManager[Image]:
        """Decode an image, and hold its memory until the block ends."""
        if self._model.memory is None:
            return nullcontext(decode_image(encoded, max_pixels))
        tiles = self._attributes.tiles
        beside = partial(window_bytes, columns=tiles[0], rows=tiles[1]) if tiles else None
        return decoded_image(encoded, self._model.memory, MEMORY_SECONDS, max_pixels, beside)

    def detect(self, images: Iterator[Image], count: int = 1) -> list[Found]:
        """Find objects in each of some images, which are decoded one by one.

        Raises:
            RequestError: 413 too many images for the windows that are to be looked at; what decoding raises.
        """
        columns, rows = self._attributes.tiles or (0, 0)
        if count * (1 + columns * rows) > MAX_LOOKS and columns:
            raise RequestError(413, f"{count} images make more than {MAX_LOOKS} windows: send several requests")
        found: list[Found] = []
        while True:
            with self.stage("decode"):
                image = next(images, None)
            if image is None:
                return found
            self.pixels += image.shape[0] * image.shape[1]
            with self.stage("detect"):
                whole = self._look(image)
                _check_finite(whole)
                found.append(Found(whole, self._selection.of(whole)))
            del image  # before its memory is another's

    def _look(self, image: Image) -> Detections:
        if self._attributes.tiles:
            return detect_in_tiles(image, self._model.detector.detect, *self._attributes.tiles)
        if self._attributes.outputs:
            return self._model.detector.detect(image, further=True)
        return self._model.detector.detect(image)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of what is done inside."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.milliseconds[name] += (time.monotonic() - begun) * 1000


def _check_coding(coding: str, first: bytes) -> None:
    """Refuse what is compressed: nobody knows how much memory it will take.

    Raises:
        RequestError: 415 it is, as the client says, or by its first bytes.
    """
    if CODINGS.intersection(each.strip() for each in coding.split(",")):
        raise RequestError(415, f"Content-Encoding {coding[:100]}: send the body as it is")
    for beginning, name in COMPRESSED.items():
        if first.startswith(beginning):
            raise RequestError(415, f"the body is compressed by {name}: send it as it is")


def _is_wide(first: bytes) -> bool:
    """Whether these are the first bytes of JSON in two or four bytes a character."""
    marked = first.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in first[:4]
    return marked and first.lstrip(b"\xff\xfe\0 \t\n\r")[:1] in (b"{", b"[")


def _check_finite(detections: Detections) -> None:
    """Fail where JSON has no number for what a model gives: its weights went wrong, which no client can mend."""
    told = (detections.boxes, detections.scores, detections.multiclass_scores)
    if not all(np.isfinite(values).all() for values in told if values is not None):
        raise ValueError("the model gives numbers that are not finite")


def _selection(attributes: Attributes, classes: Sequence[ObjectClass]) -> Selection:
    least = attributes.class_thresholds
    spelled = {entry.id: one_spelling(entry.name) for entry in classes} if attributes.names_classes else {}
    wanted = frozenset(number for number, name in spelled.items() if name in attributes.classes)
    return Selection(
        threshold=attributes.threshold,
        thresholds={number: least[name] for number, name in spelled.items() if name in least},
        classes=wanted if attributes.classes else None,
        most=attributes.max_detections,
    )
