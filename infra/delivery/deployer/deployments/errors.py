# SPDX-License-Identifier: Apache-2.0
"""What can go wrong on the way to an endpoint, and how SageMaker says it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_TRANSIENT = frozenset({"InternalFailure", "InternalServerError", "RequestLimitExceeded", "ServiceUnavailable"})
_MISSING = re.compile(r"could not find|does not exist|not found", re.IGNORECASE)
_EXISTING = re.compile(r"already exist", re.IGNORECASE)
_BUSY = re.compile(r"in-progress endpoint", re.IGNORECASE)


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


def is_existing(error: ClientError) -> bool:
    """Whether a resource of this name is there already."""
    return bool(_EXISTING.search(message(error)))


def is_busy(error: ClientError) -> bool:
    """Whether an endpoint is being created or updated, and takes no order till then."""
    return bool(_BUSY.search(message(error)))


def is_transient(error: ClientError) -> bool:
    """Whether the same call may well work in a minute; Lambda then delivers the event again."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code(error) in _TRANSIENT or "Throttl" in code(error) or status >= 500
