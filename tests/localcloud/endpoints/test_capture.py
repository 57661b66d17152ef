# SPDX-License-Identifier: Apache-2.0
"""Which requests are kept, and how a line tells of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.endpoints.capture import Message, keep, samples

WANTED = {"InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://kept/under/", "CaptureOptions": []}


class Written:
    """Where S3 would be."""

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []

    def put_object(self, **parameters: Any) -> None:
        self.objects.append(parameters)


@pytest.mark.parametrize(
    ("configuration", "kept"),
    [
        (None, 0),
        ({"InitialSamplingPercentage": 0}, 0),
        ({"InitialSamplingPercentage": 100, "EnableCapture": False}, 0),
        ({"InitialSamplingPercentage": 100}, 400),
        ({"InitialSamplingPercentage": 50, "EnableCapture": True}, range(120, 280)),
    ],
)
def test_as_many_are_kept_as_the_percentage_says(configuration: Any, kept: Any) -> None:
    count = sum(samples(configuration) for _ in range(400))

    assert count in (kept if isinstance(kept, range) else [kept])


@pytest.mark.parametrize(
    ("modes", "told"),
    [
        (["Input"], ["endpointInput"]),
        (["Output"], ["endpointOutput"]),
        (["InputAndOutput"], ["endpointInput", "endpointOutput"]),
    ],
)
def test_a_line_tells_what_was_asked_for(modes: list[str], told: list[str]) -> None:
    s3, types = Written(), {"CsvContentTypes": ["text/csv"]}
    options = [{"CaptureMode": mode} for mode in modes]
    configuration = {**WANTED, "CaptureOptions": options, "CaptureContentTypeHeader": types, "KmsKeyId": "key"}

    message = Message("text/csv; charset=utf-8", b"1,2")
    keep(s3, configuration, endpoint="e", variant="v", request=message, answer=message)

    (written,) = s3.objects
    assert (written["Bucket"], written["ServerSideEncryption"], written["SSEKMSKeyId"]) == ("kept", "aws:kms", "key")
    assert written["Key"].startswith("under/e/v/")
    captured = json.loads(written["Body"])["captureData"]
    assert list(captured) == told
    assert {(each["data"], each["encoding"]) for each in captured.values()} == {("1,2", "CSV")}
