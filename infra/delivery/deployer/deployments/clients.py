# SPDX-License-Identifier: Apache-2.0
"""AWS clients, made when first used; a test hands its own in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

_RETRIES = Config(retries={"mode": "standard", "max_attempts": 5})


@dataclass
class Clients:
    """The services that the deployer talks to.

    Attributes:
        given: Clients by service name that take the place of boto3's, such as `{"sagemaker": fake}`.
        clock: Seconds since 1970.
    """

    given: dict[str, Any] = field(default_factory=dict)
    clock: Callable[[], float] = time.time

    def now(self) -> int:
        """Return milliseconds since 1970."""
        return round(self.clock() * 1000)

    @cached_property
    def sagemaker(self) -> SageMakerClient:
        """The control plane: registry, models, endpoints, callbacks."""
        return self.given.get("sagemaker") or boto3.client("sagemaker", config=_RETRIES)

    @cached_property
    def runtime(self) -> SageMakerRuntimeClient:
        """The endpoints themselves; a throttle or a 5xx of the service is tried again, a model's own error is not."""
        return self.given.get("sagemaker-runtime") or boto3.client(
            "sagemaker-runtime", config=_RETRIES.merge(Config(read_timeout=60))
        )

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """Alarms on new fleets."""
        return self.given.get("cloudwatch") or boto3.client("cloudwatch", config=_RETRIES)

    @cached_property
    def s3(self) -> S3Client:
        """Evaluations, samples, artifacts and evidence."""
        return self.given.get("s3") or boto3.client("s3", config=_RETRIES)

    @cached_property
    def ecr(self) -> ECRClient:
        """What a tag means."""
        return self.given.get("ecr") or boto3.client("ecr", config=_RETRIES)

    @cached_property
    def kms(self) -> KMSClient:
        """The key that signs evidence."""
        return self.given.get("kms") or boto3.client("kms", config=_RETRIES)

    @cached_property
    def sns(self) -> SNSClient:
        """People."""
        return self.given.get("sns") or boto3.client("sns", config=_RETRIES)

    @cached_property
    def sqs(self) -> SQSClient:
        """The Callback queue."""
        return self.given.get("sqs") or boto3.client("sqs", config=_RETRIES)

    def table(self, name: str) -> Table:
        """The table of deployment records."""
        return self.given.get("table") or boto3.resource("dynamodb", config=_RETRIES).Table(name)
