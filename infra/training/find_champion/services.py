# SPDX-License-Identifier: Apache-2.0
"""What FindChampion and CheckPlan ask AWS with: clients, made once a process, and places and answers of S3."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError


@cache
def client(service: str) -> Any:
    """boto3's client of a service."""
    make: Any = boto3.client
    return make(service)


@cache
def table(name: str) -> Any:
    """A table of DynamoDB."""
    return boto3.resource("dynamodb").Table(name)


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of an S3 URI."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


def is_absent(error: ClientError) -> bool:
    """Whether S3 says that an object is not there."""
    return error.response["Error"]["Code"] in {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}
