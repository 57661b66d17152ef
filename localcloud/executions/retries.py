# SPDX-License-Identifier: Apache-2.0
"""Retry policies of pipeline steps: what kind of failure a step met, and whether and when it is tried again.

https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

THROTTLING = "Step.THROTTLING"
SERVICE_FAULT = "Step.SERVICE_FAULT"
JOB_INTERNAL_ERROR = "SageMaker.JOB_INTERNAL_ERROR"
JOB_CAPACITY_ERROR = "SageMaker.JOB_CAPACITY_ERROR"
RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"

RETRIED_BY_ITSELF: tuple[Mapping[str, Any], ...] = (
    {"ExceptionType": [THROTTLING, SERVICE_FAULT], "IntervalSeconds": 1, "BackoffRate": 2.0, "MaxAttempts": 5},
)
"""SageMaker retries these without being asked; a policy of the step's own for the same kind overrides it."""


def kind_of_refusal(code: str, status: int) -> str | None:
    """The kind of a refused `Create*` call, or None if it is the caller's fault, which is never retried.

    Args:
        code: The error's code.
        status: Its HTTP status.
    """
    if "Throttl" in code or code == "TooManyRequestsException":
        return THROTTLING
    if code == "ResourceLimitExceeded":
        return RESOURCE_LIMIT
    return SERVICE_FAULT if status >= 500 else None


def kind_of_job_failure(reason: str) -> str | None:
    """The kind of a job's FailureReason, or None for the algorithm's and the client's own errors."""
    if reason.startswith("InternalServerError"):
        return JOB_INTERNAL_ERROR
    if reason.startswith("CapacityError") or "InsufficientInstanceCapacity" in reason:
        return JOB_CAPACITY_ERROR
    return None


def delay(policies: Sequence[Mapping[str, Any]], kind: str | None, attempts: int, elapsed: float) -> float | None:
    """Seconds to wait before the next attempt, or None to give up.

    Args:
        policies: The step's `RetryPolicies`.
        kind: From `kind_of_refusal` or `kind_of_job_failure`.
        attempts: Attempts made so far, at least 1.
        elapsed: Seconds since the step was first executed.
    """
    policy = next((each for each in (*policies, *RETRIED_BY_ITSELF) if kind in _kinds(each)), None)
    if policy is None:
        return None
    if "ExpireAfterMin" in policy:
        if elapsed >= 60 * policy["ExpireAfterMin"]:
            return None
    elif attempts > policy.get("MaxAttempts", 5):
        return None
    return float(policy.get("IntervalSeconds", 1) * policy.get("BackoffRate", 2.0) ** (attempts - 1))


def _kinds(policy: Mapping[str, Any]) -> set[str]:
    return {JOB_CAPACITY_ERROR if kind == "SageMaker.CAPACITY_ERROR" else kind for kind in policy["ExceptionType"]}
