# SPDX-License-Identifier: Apache-2.0
"""What can go wrong on the way to an endpoint, and how SageMaker says it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_TRANSIENT = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "ModelNotReadyException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
    }
)
_ACCOUNT = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "DisabledException",
        "ExpiredTokenException",
        "KMSInvalidStateException",
        "LimitExceededException",
        "ResourceLimitExceeded",
        "ServiceQuotaExceededException",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
"""Refusals of what the account, its quotas, its roles or its keys allow.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html
https://docs.aws.amazon.com/kms/latest/APIReference/API_Verify.html#API_Verify_Errors
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html#API_CreateEndpoint_Errors
"""
_MISSING = re.compile(r"could not find|does not exist|not found", re.IGNORECASE)
_EXISTING = re.compile(r"already exist", re.IGNORECASE)
_BUSY = re.compile(r"in-progress endpoint", re.IGNORECASE)
# Sentences that speak of the role with which SageMaker acts, of a quota, or of AWS's own stock of instances.
_LACK = re.compile(
    r"could not (access|assume)|not authorized to perform|AccessDenied|service limit|LimitExceeded"
    r"|InsufficientInstanceCapacity|insufficient capacity|unable to provision",
    re.IGNORECASE,
)


TAKEN = frozenset({"412", "PreconditionFailed"})
"""What S3 says of a conditional write whose condition does not hold, and of two at the same time:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html#conditional-error-response
"""
RACING = frozenset({"ConditionalRequestConflict"})


class DeploymentError(Exception):
    """Base of this package's errors; the message is a sentence for people."""


class RefusedError(DeploymentError):
    """The version must not be deployed: its verdict, its evaluation or its artifact does not allow it."""


class ConflictError(DeploymentError):
    """Somebody else changed a record or a resource meanwhile: look again."""


def code(error: ClientError) -> str:
    """Return AWS's error code, such as `ValidationException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message(error: ClientError) -> str:
    """Return AWS's own sentence."""
    return str(error.response.get("Error", {}).get("Message", "")) or str(error)


def is_missing(error: ClientError) -> bool:
    """Whether a resource is not there; SageMaker says so with a ValidationException."""
    return code(error) in {"ResourceNotFound", "ResourceNotFoundException"} or bool(_MISSING.search(message(error)))


def is_absent(error: ClientError) -> bool:
    """Whether an object of S3, this version of it, or its bucket is not there."""
    return code(error) in {"404", "NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NotFound"}


def is_existing(error: ClientError) -> bool:
    """Whether a resource of this name is there already."""
    return bool(_EXISTING.search(message(error)))


def is_busy(error: ClientError) -> bool:
    """Whether an endpoint is being created or updated, and takes no order till then."""
    return bool(_BUSY.search(message(error)))


def is_transient(error: ClientError) -> bool:
    """Whether the same call may well work in a minute."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code(error) in _TRANSIENT or "Throttl" in code(error) or status >= 500


def is_about_account(error: ClientError) -> bool:
    """Whether a permission or a quota is missing, which says nothing about the version and is given some day."""
    return code(error) in _ACCOUNT or speaks_of_lack(message(error))


def speaks_of_lack(sentence: str) -> bool:
    """Whether a sentence of SageMaker's says that a permission, a quota or instances are missing."""
    return bool(_LACK.search(sentence))


def is_failing_model(error: ClientError) -> bool:
    """Whether the container took the request and failed: a 5xx, an overload, or no answer in time.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
    """
    status = int(error.response.get("OriginalStatusCode", 0))  # type: ignore[call-overload]
    return code(error) == "ModelError" and (status in (0, 429) or status >= 500)
