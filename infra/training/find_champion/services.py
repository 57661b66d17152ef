# SPDX-License-Identifier: Apache-2.0
"""What FindChampion and CheckPlan are asked, and ask AWS with: clients, and places and answers of S3."""

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


class OlderDefinitionError(Exception):
    """The execution is one of the deployment before this one."""


def require(event: dict[str, Any], *names: str) -> None:
    """See that a step was given what this deployment's definition gives it; one that is retried may be older.

    Raises:
        OlderDefinitionError: Something is not there.
    """
    if missing := [name for name in names if name not in event]:
        raise OlderDefinitionError(
            f"This execution was started before the stacks were last deployed, and hands on no {missing[0]}: start it "
            "anew with the same parameters; what it has prepared and trained comes from the cache."
        )


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of an S3 URI."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


def is_absent(error: ClientError) -> bool:
    """Whether S3 says that an object is not there."""
    return error.response["Error"]["Code"] in {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}
