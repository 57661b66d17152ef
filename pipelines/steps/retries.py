# SPDX-License-Identifier: Apache-2.0
"""When the service, and not our code, was at fault, a step is tried again.

Only Processing, Training and RegisterModel steps (of the types used here) take a retry policy:
https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html
"""

from sagemaker.mlops.workflow import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)

QUOTA_WAIT_MINUTES = 240  # an environment's quota_wait_minutes takes its place

CALL_RETRIES = [
    StepRetryPolicy(
        exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
        interval_seconds=10,
        backoff_rate=2.0,
        max_attempts=4,
    )
]
"""For calls: a service fault or throttling, after 10, 20, 40 and 80 seconds."""

JOB_RETRIES = [
    *CALL_RETRIES,
    SageMakerJobStepRetryPolicy(
        exception_types=[SageMakerJobExceptionTypeEnum.INTERNAL_ERROR],
        interval_seconds=30,
        backoff_rate=2.0,
        max_attempts=2,
    ),
    SageMakerJobStepRetryPolicy(
        exception_types=[SageMakerJobExceptionTypeEnum.CAPACITY_ERROR],
        interval_seconds=120,
        backoff_rate=1.5,
        max_attempts=8,
    ),
    SageMakerJobStepRetryPolicy(
        exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
        interval_seconds=60,
        backoff_rate=1.0,
        expire_after_mins=QUOTA_WAIT_MINUTES,
    ),
]
"""For jobs: besides, an internal error of the job; an hour and a half of patience for instances that AWS has not; and
for those that others of the account are using, a look a minute for as long as the environment's settings say."""
