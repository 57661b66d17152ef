# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Serving's REST form of predict, in rows and in columns, and what SageMaker's image for it makes into that.

https://www.tensorflow.org/tfx/serving/api_rest
https://github.com/aws/sagemaker-tensorflow-serving-container (`tensorflowServing.js`)

A request is `{"instances": [image, ...]}`, or `{"inputs": [image, ...]}` to be answered in columns, or the images
alone, `[image, ...]`, or one image, or lines of them. An image is nested lists [height][width][3] of whole numbers 0 to
255, or `{"b64": "<encoded JPEG or PNG>"}`, or either of them as `{"input_tensor": ...}`; in columns the name may stand
around all of them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from containers.contract.pictures import MAX_PIXELS
from inference_src.detections import ANCHOR_INDICES, MULTICLASS_SCORES, Detections
from inference_src.errors import RequestError
from inference_src.images import Image, decode_image
from inference_src.protocols.base64_text import decode_base64
from inference_src.protocols.json_text import JsonText, Span
from inference_src.protocols.pixel_lists import read_pixel_lists

MAX_INSTANCES = 128
INPUT = "input_tensor"
"""The name of the exported model's only input."""
SIGNATURE = "serving_default"

Instance = Image | Span
"""An image's pixels, or where in the body its base64 is."""
Decoded = Callable[[bytes, int], AbstractContextManager[Image]]
"""Decodes an image of at most so many pixels, and holds its memory until the block ends."""

_FORM = 'the body must be {"instances": [image, ...]}, an image as nested lists or {"b64": ...}'
_IMAGE = 'an image is nested lists [height][width][3], or {"b64": "..."}'
_IMAGE_NESTING, _BATCH_NESTING = 3, 4


def _decoded(encoded: bytes, max_pixels: int) -> AbstractContextManager[Image]:
    return nullcontext(decode_image(encoded, max_pixels))


@dataclass(frozen=True)
class Request:
    """A request that is read as far as its images' pixels are not packed away.

    Attributes:
        body: The JSON that the images are in.
        instances: The images, at least one and at most `MAX_INSTANCES`.
        form: `rows` or `columns`, as the answer is asked for, or `image` for one that stands alone.
    """

    body: bytes
    instances: Sequence[Instance]
    form: str

    def images(self, max_pixels: int = MAX_PIXELS, decoded: Decoded = _decoded) -> Iterator[Image]:
        """Give the images one by one, so that of encoded ones only one is in memory at a time.

        Args:
            max_pixels: Greatest sum of the images' pixels.
            decoded: Decodes what is encoded.

        Raises:
            RequestError: 413 too many pixels; 400 base64 is damaged; what `decode_image` raises.
        """
        pixels = 0
        for number, instance in enumerate(self.instances):
            with ExitStack() as held:
                try:
                    image = held.enter_context(self._image(instance, max_pixels - pixels, decoded))
                except RequestError as error:
                    raise _at("inputs" if self.form == "columns" else "instances", number, error) from error
                pixels += image.shape[0] * image.shape[1]
                yield image
                del image  # before its memory is another's

    def _image(self, instance: Instance, max_pixels: int, decoded: Decoded) -> AbstractContextManager[Image]:
        if isinstance(instance, Span):
            return decoded(decode_base64(self.body, instance), max_pixels)
        height, width = instance.shape[:2]
        if height * width > max_pixels:
            raise RequestError(
                413, f"the image has {width} x {height} pixels, which makes more than allowed: scale it down"
            )
        return nullcontext(instance)


def read_request(body: bytes, lines: bool = False) -> Request:
    """Read a request.

    Args:
        body: The request's JSON.
        lines: Whether several images may follow one another.

    Raises:
        RequestError: 400 no JSON, or none of the forms above; 413 too many images.
    """
    text = JsonText(body)
    first = _document(text)
    instances = [*first.instances]
    while lines and text.peek():
        further = _document(text)
        if (first.form, further.form) != ("image", "image"):
            raise RequestError(400, "several lines are one image each: send the whole request in one line")
        instances += further.instances
        if len(instances) > MAX_INSTANCES:
            raise RequestError(413, f"the body has more than {MAX_INSTANCES} images: send several requests")
    if text.peek():
        raise text.no_json("something follows its end")
    return Request(body, instances, first.form)


def prediction(detections: Detections, outputs: Sequence[str] = ()) -> dict[str, Any]:
    """Render one image's detections as the exporter's graph gives them, padding included, numbers as floats.

    Args:
        detections: What to tell of.
        outputs: Which of `FURTHER_OUTPUTS` to give, too.

    Raises:
        RequestError: 400 the model does not give one of them.
    """
    further = {ANCHOR_INDICES: detections.anchor_indices, MULTICLASS_SCORES: detections.multiclass_scores}
    told: dict[str, Any] = {
        "detection_boxes": detections.boxes.tolist(),
        "detection_scores": detections.scores.tolist(),
        "detection_classes": detections.classes.astype(np.float32).tolist(),
        "num_detections": float(detections.count),
    }
    for name in outputs:
        values = further[name]
        if values is None:
            raise RequestError(400, f"this endpoint's form of the model does not give {name}: leave it out")
        told[name] = values.astype(np.float32).tolist()
    return told


def in_columns(predictions: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn one dictionary an image into one list an output."""
    return {name: [each[name] for each in predictions] for name in predictions[0]}


def _document(text: JsonText) -> Request:
    """Read one document: what a request is, or one of its lines."""
    match text.peek():
        case b"{":
            return _object(text)
        case b"[" if text.nesting() == _IMAGE_NESTING:
            return Request(text.body, [_image(text)], "image")
        case b"[" if text.nesting() <= _BATCH_NESTING:
            return Request(text.body, _images(text, "instances"), "rows")
        case b"[":
            raise RequestError(400, "the body is no JSON of images: its lists are nested more than four deep")
    text.small_value()
    raise RequestError(400, _FORM)


def _object(text: JsonText) -> Request:
    """Read an object: images under a name, or one image."""
    found: dict[str, list[Instance]] = {}
    for key in text.members():
        if key in found:
            raise RequestError(400, f"{key} stands twice: give it once")
        if key == "instances":
            found[key] = _images(text, key)
        elif key == "inputs":
            found[key] = _columns(text)
        elif key in ("b64", INPUT):
            found[key] = [_member(text, key)]
        elif key == "signature_name":
            _check_signature(text.small_value())
        else:
            text.small_value()
    if len(found) != 1:
        raise RequestError(400, f"{_FORM}; there are {' and '.join(found)}" if found else _FORM)
    ((key, instances),) = found.items()
    return Request(text.body, instances, {"instances": "rows", "inputs": "columns"}.get(key, "image"))


def _check_signature(name: Any) -> None:
    if name not in ("", SIGNATURE):
        raise RequestError(400, f"signature_name {str(name)[:50]!r}: the model has {SIGNATURE} only")


def _columns(text: JsonText) -> list[Instance]:
    """Read what is under `inputs`: images, or one, or either of them under the input's name."""
    if text.peek() == b"[":
        return [_image(text)] if text.nesting() == _IMAGE_NESTING else _images(text, "inputs")
    if text.peek() != b"{":
        raise RequestError(400, f"inputs: {_IMAGE}")
    instances: list[Instance] = []
    for key in text.members():
        if instances or key not in ("b64", INPUT):
            raise RequestError(400, f"inputs has {key[:50]!r}: the model's only input is {INPUT}")
        if key == INPUT and text.peek() == b"[" and text.nesting() != _IMAGE_NESTING:
            instances = _images(text, "inputs")
        else:
            instances = [_member(text, key)]
    if not instances:
        raise RequestError(400, f"inputs is empty: the model's only input is {INPUT}")
    return instances


def _images(text: JsonText, name: str) -> list[Instance]:
    """Read a list of images; what is no image is refused behind the last one, unless there are too many."""
    if text.peek() != b"[":
        raise RequestError(400, _FORM)
    instances: list[Instance] = []
    faults: list[RequestError] = []
    for number in text.elements():
        if number == MAX_INSTANCES:
            raise RequestError(413, f"{name} has more than {MAX_INSTANCES} images: send several requests")
        if text.peek() in (b"[", b"{"):
            try:
                instances.append(_image(text))
            except RequestError as error:
                raise _at(name, number, error) from error
        else:
            text.string() if text.peek() == b'"' else text.small_value()
            faults.append(_at(name, number, RequestError(400, _IMAGE)))
    if faults:
        raise faults[0]
    if not instances:
        raise RequestError(400, f"{name} is empty: give at least one image")
    return instances


def _image(text: JsonText, keys: Sequence[str] = ("b64", INPUT)) -> Instance:
    """Read an image: nested lists, or an object with one of some keys."""
    if text.peek() == b"[":
        image, text.place = read_pixel_lists(text.body, text.place)
        return image
    instances: list[Instance] = []
    for key in text.members():
        if instances or key not in keys:
            raise RequestError(400, f"{_IMAGE}, not an object with {key[:50]!r}")
        instances.append(_member(text, key))
    if not instances:
        raise RequestError(400, _IMAGE)
    return instances[0]


def _member(text: JsonText, key: str) -> Instance:
    """Read an image behind its key: base64, or whatever the input takes."""
    if key == "b64":
        if text.peek() != b'"':
            raise RequestError(400, "b64 is no string: give an encoded JPEG or PNG in base64")
        return text.string()
    if text.peek() not in (b"[", b"{"):
        raise RequestError(400, _IMAGE)
    return _image(text, ("b64",))


def _at(name: str, number: int, error: RequestError) -> RequestError:
    return RequestError(error.status, f"{name}[{number}]: {error}")
