# SPDX-License-Identifier: Apache-2.0
"""A smoke test: a few real requests to an endpoint, and a look at the answers' shape."""

from __future__ import annotations

import json
import math
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import DeploymentError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

_REQUESTS = 5
_TOLERANCE = 1e-3


class UnfitAnswerError(DeploymentError):
    """The endpoint answers, but not with detections."""


@dataclass(frozen=True)
class Smoke:
    """What a smoke test measured.

    Attributes:
        latency_milliseconds: Median over the requests after the first.
        detections: Boxes in the answer, whatever their score.
    """

    latency_milliseconds: float
    detections: int


def smoke_test(runtime: SageMakerRuntimeClient, endpoint_name: str, image: bytes) -> Smoke:
    """Send an image a few times and check the answers; the first request only warms the endpoint up.

    Raises:
        UnfitAnswerError: An answer is not a list of detections, or an empty one.
        botocore.exceptions.ClientError: The endpoint refuses or fails.
    """
    milliseconds: list[float] = []
    detections = 0
    for _ in range(1 + _REQUESTS):
        begun = time.perf_counter()
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint_name, Body=image, ContentType="application/x-image", Accept="application/json"
        )
        body = answer["Body"].read()
        milliseconds.append((time.perf_counter() - begun) * 1000)
        detections = count_detections(body)
        if not detections:
            raise UnfitAnswerError("the answer has no detection, though the evaluation found something in this image")
    return Smoke(latency_milliseconds=statistics.median(milliseconds[1:]), detections=detections)


def count_detections(body: bytes) -> int:
    """Check an answer in the form of AWS's built-in object detection and return its number of boxes.

    Args:
        body: JSON with `normalized_boxes` ([xmin, ymin, xmax, ymax] between 0 and 1), `classes` and `scores`, of equal
            lengths, and perhaps `labels`, into which `classes` are indices.

    Raises:
        UnfitAnswerError: With a sentence that says what is wrong.
    """
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise UnfitAnswerError(f"the answer is not JSON: {body[:60]!r}") from error
    columns = [
        answer.get(name) if isinstance(answer, dict) else None for name in ("normalized_boxes", "classes", "scores")
    ]
    boxes, classes, scores = columns
    if not isinstance(boxes, list) or not isinstance(classes, list) or not isinstance(scores, list):
        raise UnfitAnswerError("the answer has no lists normalized_boxes, classes and scores")
    if not len(boxes) == len(classes) == len(scores):
        raise UnfitAnswerError(f"the answer has {len(boxes)} boxes, {len(classes)} classes and {len(scores)} scores")
    for box in boxes:
        if not isinstance(box, list) or len(box) != 4 or not all(_is_share(edge) for edge in box):
            raise UnfitAnswerError(f"{box} is not a box of four numbers between 0 and 1")
        if box[0] > box[2] + _TOLERANCE or box[1] > box[3] + _TOLERANCE:
            raise UnfitAnswerError(f"{box} is not [xmin, ymin, xmax, ymax]")
    for score in scores:
        if not _is_share(score):
            raise UnfitAnswerError(f"{score} is not a score between 0 and 1")
    labels = answer.get("labels")
    if isinstance(labels, list) and any(not 0 <= int(index) < len(labels) for index in classes):
        raise UnfitAnswerError(f"the answer has a class beyond its {len(labels)} labels")
    return len(boxes)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and -_TOLERANCE <= value <= 1 + _TOLERANCE
