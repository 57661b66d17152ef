# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipelines.client.connection import Connection
from pipelines.client.invocation import Detection, detect
from pipelines.errors import BadInputError, MapgateError, WorkFailedError

APPROVE = "it comes up when a version is approved (`mapgate models approve`)"


class Endpoint:
    """Stands where the runtime's client would, and answers or refuses."""

    def __init__(self, answer: dict[str, Any] | ClientError) -> None:
        self._answer = answer
        self.connection = Connection(region="us-east-1", _clients={"sagemaker-runtime": self})

    def invoke_endpoint(self, **_: object) -> dict[str, Any]:
        if isinstance(self._answer, ClientError):
            raise self._answer
        return {"Body": io.BytesIO(json.dumps(self._answer).encode())}


def test_detections_have_their_labels_and_scores_that_are_too_low_are_left_out() -> None:
    answer = {
        "normalized_boxes": [[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]],
        "classes": [1.0, 0.0],
        "scores": [0.9, 0.2],
        "labels": ["cat", "dog"],
    }

    found = detect(Endpoint(answer).connection, "e", b"", least_score=0.3)

    assert found == [Detection("dog", 0.9, (0.1, 0.2, 0.3, 0.4))]


@pytest.mark.parametrize(
    ("response", "kind", "told"),
    [
        (
            {"Error": {"Code": "ValidationError", "Message": "e not found"}},
            BadInputError,
            "endpoint e: e not found; " + APPROVE,
        ),
        (
            {
                "Error": {"Code": "ModelError", "Message": "400"},
                "OriginalStatusCode": 415,
                "OriginalMessage": '{"error": "not an image"}',
            },
            BadInputError,
            "endpoint e refused the image: not an image",
        ),
        (
            {
                "Error": {"Code": "ModelError", "Message": "400"},
                "OriginalStatusCode": 400,
                "OriginalMessage": "<html>",
            },
            BadInputError,
            "endpoint e refused the image: <html>",
        ),
        (
            {"Error": {"Code": "ModelError", "Message": "timed out"}, "OriginalStatusCode": 500},
            WorkFailedError,
            "endpoint e could not answer: timed out",
        ),
    ],
)
def test_a_refusal_says_whose_fault_it_is(response: Any, kind: type[MapgateError], told: str) -> None:
    with pytest.raises(kind) as caught:
        detect(Endpoint(ClientError(response, "InvokeEndpoint")).connection, "e", b"")
    assert str(caught.value) == told
