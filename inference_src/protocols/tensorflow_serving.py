# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Serving's REST form of predict, in rows (https://www.tensorflow.org/tfx/serving/api_rest).

A request is `{"instances": [image, ...]}`, an image being nested lists [height][width][3] of whole numbers 0 to 255, or
`{"b64": "<encoded JPEG or PNG>"}`, or either of them as `{"input_tensor": ...}`.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic_core import from_json

from containers.contract.pictures import MAX_PIXELS
from inference_src.detections import Detections
from inference_src.errors import RequestError
from inference_src.images import Image, decode_image

MAX_INSTANCES = 128


def read_instances(body: bytes, max_pixels: int = MAX_PIXELS) -> Iterator[Image]:
    """Read a request's images one by one, so that only one is in memory at a time.

    Args:
        body: The request's JSON.
        max_pixels: Greatest sum of the images' pixels.

    Raises:
        RequestError: 400 no JSON or not the form above; 413 too many images or pixels; what `decode_image` raises.
    """
    instances = _instances(body)
    pixels = 0
    for number, instance in enumerate(instances):
        try:
            image = _image(instance, max_pixels - pixels)
        except RequestError as error:
            raise RequestError(error.status, f"instances[{number}]: {error}") from error
        pixels += image.shape[0] * image.shape[1]
        yield image


def prediction(detections: Detections) -> dict[str, Any]:
    """Render one image's detections as the exporter's graph gives them, padding included, numbers as floats."""
    return {
        "detection_boxes": detections.boxes.tolist(),
        "detection_scores": detections.scores.tolist(),
        "detection_classes": detections.classes.astype(np.float32).tolist(),
        "num_detections": float(detections.count),
    }


def _instances(body: bytes) -> list[Any]:
    try:
        request = from_json(body, allow_inf_nan=False, cache_strings="none")
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body is no JSON ({str(error)[:100]})") from error
    if not isinstance(request, dict) or not isinstance(request.get("instances"), list):
        raise RequestError(
            400, 'the body must be {"instances": [image, ...]}, an image as nested lists or {"b64": ...}'
        )
    signature = request.get("signature_name", "serving_default")
    if signature != "serving_default":
        raise RequestError(400, f"signature_name {str(signature)[:50]!r}: the model has serving_default only")
    instances: list[Any] = request["instances"]
    if not instances:
        raise RequestError(400, "instances is empty: give at least one image")
    if len(instances) > MAX_INSTANCES:
        raise RequestError(
            413, f"instances has {len(instances)} images, more than {MAX_INSTANCES}: send several requests"
        )
    return instances


def _image(instance: Any, max_pixels: int) -> Image:
    if isinstance(instance, dict) and set(instance) == {"input_tensor"}:
        instance = instance["input_tensor"]
    if isinstance(instance, dict) and set(instance) == {"b64"} and isinstance(instance["b64"], str):
        return decode_image(_decode_base64(instance["b64"]), max_pixels)
    if not isinstance(instance, list):
        raise RequestError(400, 'an image is nested lists [height][width][3], or {"b64": "..."}')
    return _pixels(instance, max_pixels)


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, f"b64 is not base64 ({error})") from error


def _pixels(rows: list[Any], max_pixels: int) -> Image:
    """Turn nested lists into pixels row by row: between rows other threads get their turn."""
    height, width = len(rows), len(rows[0]) if rows and isinstance(rows[0], list) else 0
    if not width:
        raise RequestError(400, "an image needs at least one row of at least one pixel")
    if height * width > max_pixels:
        raise RequestError(
            413, f"the image has {width} x {height} pixels, which makes more than allowed: scale it down"
        )
    image = np.empty((height, width, 3), np.uint8)
    for y, row in enumerate(rows):
        image[y] = _row(row, y, width)
    return image


def _row(row: Any, y: int, width: int) -> Image:
    try:
        values = np.array(row)
    except (ValueError, TypeError, OverflowError):
        values = np.empty(0)
    if values.shape != (width, 3):
        raise RequestError(400, f"row {y} is not {width} pixels of 3 numbers, as the first row's length asks")
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        raise RequestError(400, f"row {y} holds something else than whole numbers from 0 to 255")
    return values.astype(np.uint8)
