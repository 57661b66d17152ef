# SPDX-License-Identifier: Apache-2.0
"""One image to the production endpoint, and its detections back."""

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from pipelines.client.connection import Connection
from pipelines.errors import BadInputError, WorkFailedError


@dataclass(frozen=True)
class Detection:
    """One detected object.

    Attributes:
        box: xmin, ymin, xmax, ymax, as fractions of the image's width and height.
        score: From 0 to 1.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]

    def as_json(self) -> dict[str, Any]:
        """The detection as plain JSON values."""
        return {"label": self.label, "score": self.score, "box": list(self.box)}


def detect(connection: Connection, endpoint: str, image: bytes, *, least_score: float = 0.0) -> list[Detection]:
    """Send an encoded JPEG or PNG and return its detections, best first.

    Raises:
        BadInputError: The endpoint does not exist, or the model refused the image, in its own words.
        WorkFailedError: The endpoint could not answer.
    """
    try:
        answer = connection.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint, ContentType="application/x-image", Accept="application/json", Body=image
        )
    except ClientError as error:
        raise _translated(error, endpoint) from error
    return read_answer(answer["Body"].read(), least_score=least_score)


def read_answer(body: bytes, *, least_score: float = 0.0) -> list[Detection]:
    """The detections of a server's answer, best first.

    Args:
        body: That of AWS's built-in *Object Detection - TensorFlow*: boxes as xmin, ymin, xmax, ymax, classes as
            indices into `labels`.
        least_score: What scores less is left out.
    """
    told = json.loads(body)
    return [
        Detection(label=told["labels"][int(index)], score=float(score), box=(box[0], box[1], box[2], box[3]))
        for box, index, score in zip(told["normalized_boxes"], told["classes"], told["scores"], strict=True)
        if score >= least_score
    ]


def _translated(error: ClientError, endpoint: str) -> Exception:
    told = error.response
    message = told["Error"]["Message"]
    if told["Error"]["Code"] in ("ValidationError", "ValidationException"):
        way_out = (
            "; it comes up when a version is approved (`mapgate models approve`)" if "not found" in message else ""
        )
        return BadInputError(f"endpoint {endpoint}: {message.rstrip('.')}{way_out}")
    if 400 <= told.get("OriginalStatusCode", 500) < 500:  # type: ignore[operator]
        sentence = _sentence(str(told.get("OriginalMessage", message)))
        return BadInputError(f"endpoint {endpoint} refused the image: {sentence}")
    return WorkFailedError(f"endpoint {endpoint} could not answer: {message}")


def _sentence(answer: str) -> str:
    """What our server says in its JSON; another container's answer as it is."""
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return answer
