# SPDX-License-Identifier: Apache-2.0
"""Which failures are retried, and when."""

from __future__ import annotations

import pytest

from localcloud.executions.retries import (
    JOB_CAPACITY_ERROR,
    JOB_INTERNAL_ERROR,
    RESOURCE_LIMIT,
    SERVICE_FAULT,
    THROTTLING,
    delay,
    kind_of_job_failure,
    kind_of_refusal,
)

POLICY = {"ExceptionType": [JOB_INTERNAL_ERROR], "IntervalSeconds": 10, "BackoffRate": 3.0, "MaxAttempts": 2}


def test_the_interval_grows_by_the_backoff_rate_until_the_attempts_are_used_up() -> None:
    assert [delay([POLICY], JOB_INTERNAL_ERROR, attempts, 0) for attempts in (1, 2, 3)] == [10, 30, None]


def test_a_policy_of_zero_attempts_never_retries() -> None:
    assert delay([POLICY | {"MaxAttempts": 0}], JOB_INTERNAL_ERROR, 1, 0) is None


def test_a_policy_may_end_by_time_instead() -> None:
    policy = {"ExceptionType": [RESOURCE_LIMIT], "ExpireAfterMin": 2}
    assert delay([policy], RESOURCE_LIMIT, 9, 119) == 256
    assert delay([policy], RESOURCE_LIMIT, 1, 120) is None


def test_what_no_policy_names_is_not_retried() -> None:
    assert delay([POLICY], None, 1, 0) is None
    assert delay([POLICY], JOB_CAPACITY_ERROR, 1, 0) is None


def test_throttling_and_service_faults_are_retried_unasked() -> None:
    assert delay([], THROTTLING, 1, 0) == 1
    assert delay([{"ExceptionType": [SERVICE_FAULT], "MaxAttempts": 0}], SERVICE_FAULT, 1, 0) is None


def test_the_sdk_spells_capacity_errors_differently() -> None:
    assert delay([{"ExceptionType": ["SageMaker.CAPACITY_ERROR"]}], JOB_CAPACITY_ERROR, 1, 0) == 1


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottlingException", 400, THROTTLING),
        ("ResourceLimitExceeded", 400, RESOURCE_LIMIT),
        ("InternalFailure", 500, SERVICE_FAULT),
        ("ValidationException", 400, None),
    ],
)
def test_refusals_are_classified(code: str, status: int, kind: str | None) -> None:
    assert kind_of_refusal(code, status) == kind


def test_job_failures_are_classified() -> None:
    assert kind_of_job_failure("InternalServerError: We encountered an internal error.") == JOB_INTERNAL_ERROR
    assert (
        kind_of_job_failure("CapacityError: Unable to provision requested ML compute capacity.") == JOB_CAPACITY_ERROR
    )
    assert kind_of_job_failure("AlgorithmError: , exit code: 1") is None
