# SPDX-License-Identifier: Apache-2.0
"""Data capture: some of an endpoint's requests and answers, kept in S3 with the role of the model.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

import base64
import json
import random
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from localcloud.objects import split_uri


@dataclass(frozen=True)
class Message:
    """A request's or an answer's body."""

    content_type: str
    body: bytes


def samples(configuration: Mapping[str, Any] | None) -> bool:
    """Whether a request is among those that a DataCaptureConfig wants kept."""
    if not configuration or not configuration.get("EnableCapture", True):
        return False
    return random.random() * 100 < int(configuration["InitialSamplingPercentage"])  # a sample, no secret


def keep(
    s3: Any, configuration: Mapping[str, Any], *, endpoint: str, variant: str, request: Message, answer: Message
) -> None:
    """Write a request and its answer to the configuration's place, a file each, where AWS collects those of minutes.

    What AWS does where the role may not write is not documented; here nothing is kept, and standard error says why.

    Args:
        s3: A client of the model's role.
        configuration: The DataCaptureConfig.
        endpoint: Its name.
        variant: Which answered.
        request: What the container was asked.
        answer: What it said.
    """
    at = datetime.now(UTC)
    bucket, prefix = split_uri(configuration["DestinationS3Uri"])
    key = f"{prefix.rstrip('/')}/{endpoint}/{variant}/{at:%Y/%m/%d/%H}/{at:%M-%S-%f}-{uuid.uuid4()}.jsonl".lstrip("/")
    line = json.dumps(_record(configuration, request, answer, at), separators=(",", ":")) + "\n"
    encryption = {}
    if configuration.get("KmsKeyId"):
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": configuration["KmsKeyId"]}
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=line.encode(), **encryption)
    except ClientError as error:
        print(f"data capture of endpoint {endpoint}: {error}", file=sys.stderr, flush=True)


def _record(configuration: Mapping[str, Any], request: Message, answer: Message, at: datetime) -> dict[str, Any]:
    wanted = {option["CaptureMode"] for option in configuration["CaptureOptions"]}
    headers = configuration.get("CaptureContentTypeHeader") or {}
    captured = {}
    for name, mode, message in (("endpointInput", "Input", request), ("endpointOutput", "Output", answer)):
        if wanted & {mode, "InputAndOutput"}:
            captured[name] = {
                "observedContentType": message.content_type,
                "mode": mode.upper(),
                **_encoded(message, headers),
            }
    return {
        "captureData": captured,
        "eventMetadata": {"eventId": str(uuid.uuid4()), "inferenceTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"},
        "eventVersion": "0",
    }


def _encoded(message: Message, headers: Mapping[str, Any]) -> dict[str, str]:
    """As text where the content type is among the configuration's, and in base64 otherwise.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CaptureContentTypeHeader.html
    """
    kind = message.content_type.partition(";")[0].strip()
    for encoding, types in (("JSON", "JsonContentTypes"), ("CSV", "CsvContentTypes")):
        if kind in headers.get(types, ()):
            return {"data": message.body.decode(errors="replace"), "encoding": encoding}
    return {"data": base64.b64encode(message.body).decode(), "encoding": "BASE64"}
