# SPDX-License-Identifier: Apache-2.0
"""What there is to look at beside registry and records, before somebody decides on a version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import ClientError

from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.registry import Version

Presence = Callable[[str], bool | None]
"""Whether the object of a URI is there; None where whoever asks may not know."""


def _unknown(_: str) -> bool | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What there is to look at beside registry and records.

    Attributes:
        pipeline: Its name, for the command that compares anew.
        inference_repository: URI without tag of the environment's inference images; empty where it is not known.
        floor_policy_sha256: Of the environment's gate policy; empty where it is not known.
        bucket: The environment's.
        evaluation: The bytes of the version's evaluation.json; empty where it is gone, None where it was not read.
        evaluation_written_at: When S3 took them.
        is_there: Whether an artifact can be measured.
    """

    pipeline: str = ""
    inference_repository: str = ""
    floor_policy_sha256: str = ""
    bucket: str = ""
    evaluation: bytes | None = None
    evaluation_written_at: datetime | None = None
    is_there: Presence = _unknown


def look(connection: Connection, deployment: Deployment, version: Version) -> Surroundings:
    """Look at what a decision on a version rests on besides, as far as whoever asks may."""
    evaluation, written_at = _read(connection, version.evaluation_uri)
    return Surroundings(
        pipeline=deployment.pipeline_name,
        inference_repository=deployment.inference_image.rpartition(":")[0],
        floor_policy_sha256=deployment.gate_policy.rstrip("/").rpartition("/")[2],
        bucket=deployment.data_bucket,
        evaluation=evaluation,
        evaluation_written_at=written_at,
        is_there=lambda uri: _is_there(connection, uri),
    )


def _read(connection: Connection, uri: str) -> tuple[bytes | None, datetime | None]:
    if not uri.startswith("s3://"):
        return None, None
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        answer = connection.client("s3").get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        return (b"" if error.response["Error"]["Code"] == "NoSuchKey" else None), None
    return answer["Body"].read(), answer["LastModified"]


def _is_there(connection: Connection, uri: str) -> bool | None:
    """Whether a listing shows an object: an approver may not read models, but may know of them."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        listed = connection.client("s3").list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    except ClientError:
        return None
    return any(item["Key"] == key for item in listed.get("Contents", []))
