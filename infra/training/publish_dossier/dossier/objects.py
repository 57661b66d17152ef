# SPDX-License-Identifier: Apache-2.0
"""Objects of S3, read to their end and hashed on the way."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from containers.evidence.statements import Resource

from .errors import DossierError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1 << 20
# Documents are read into memory: an evaluation of a thousand classes has some megabytes.
_DOCUMENT_BYTES = 128 << 20


@dataclass(frozen=True)
class Document:
    """A JSON document, and what its bytes were."""

    resource: Resource
    content: dict[str, Any]


def split(uri: str) -> tuple[str, str]:
    """Return bucket and key of an S3 URI."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


def hashed(s3: S3Client, uri: str) -> Resource:
    """Return what an object held when it was read, which is not kept, however large it is.

    Raises:
        DossierError: It is gone.
        botocore.exceptions.ClientError: S3 refused.
    """
    answer = _get(s3, uri)
    digest = hashlib.sha256()
    for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
        digest.update(chunk)
    return Resource(uri=uri, sha256=digest.hexdigest(), version_id=answer.get("VersionId"))


def document(s3: S3Client, uri: str) -> Document:
    """Read a JSON document.

    Raises:
        DossierError: It is gone, or no JSON object.
        botocore.exceptions.ClientError: S3 refused.
    """
    answer = _get(s3, uri)
    if answer["ContentLength"] > _DOCUMENT_BYTES:
        raise DossierError(f"{uri} has {answer['ContentLength']:,} bytes, more than such a document ever has")
    read = answer["Body"].read()
    try:
        content = json.loads(read)
    except ValueError as error:
        raise DossierError(f"{uri} is no JSON ({error}); run the pipeline again") from error
    if not isinstance(content, dict):
        raise DossierError(f"{uri} is no JSON object; run the pipeline again")
    resource = Resource(uri=uri, sha256=hashlib.sha256(read).hexdigest(), version_id=answer.get("VersionId"))
    return Document(resource, content)


def written_below(s3: S3Client, uri: str) -> dict[str, datetime]:
    """When each object was written whose key begins as a prefix says, as a job that is given it reads them."""
    bucket, prefix = split(uri)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {f"s3://{bucket}/{each['Key']}": each["LastModified"] for page in pages for each in page.get("Contents", ())}


def read_if_there(s3: S3Client, bucket: str, key: str) -> bytes | None:
    """Return an object's bytes; None where there is none."""
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if code_of(error) not in _ABSENT:
            raise
        return None


def put_if_free(s3: S3Client, bucket: str, key: str, content: bytes, content_type: str) -> bool:
    """Write an object unless there is one; returns whether it was written.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=content, ContentType=content_type, IfNoneMatch="*")
    except ClientError as error:
        # Another write to the same key is under way, or was faster.
        if code_of(error) not in {"PreconditionFailed", "ConditionalRequestConflict"}:
            raise
        return False
    return True


def code_of(error: ClientError) -> str:
    """The code of an answer of AWS's."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _get(s3: S3Client, uri: str) -> Any:
    bucket, key = split(uri)
    try:
        return s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) not in _ABSENT:
            raise
        raise DossierError(f"{uri} is gone ({code_of(error)}); run the pipeline again") from error


_ABSENT = {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}
