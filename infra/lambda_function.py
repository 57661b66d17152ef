# SPDX-License-Identifier: Apache-2.0
"""A Lambda function as every component here has it: one folder of Python, a role of its own, a log that ends."""

from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.permissions import acknowledge, allow_key
from infra.settings import Settings

RUNTIME = lambda_.Runtime.PYTHON_3_12


class Function(Construct):
    """A Python function with the standard library and boto3, its role without managed policies, its encrypted log.

    Attributes:
        function: The Lambda function.
        role: What it may do; components add to it with `infra.permissions`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        description: str,
        code: Path,
        settings: Settings,
        key: kms.IKey,
        environment: Mapping[str, str],
        timeout: cdk.Duration,
        memory_megabytes: int = 256,
        dead_letters: sqs.IQueue | None = None,
        writes: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        full_name = f"{settings.prefix}-{name}"
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/aws/lambda/{full_name}",
            retention=_RETENTION[settings.log_retention_days],
            encryption_key=key,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        self.role = iam.Role(
            self,
            "Role",
            role_name=f"{full_name}-function",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {full_name} may do",
        )
        log.grant_write(self.role)
        allow_key(self.role, key, writes=writes or dead_letters is not None)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=full_name,
            description=description,
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64,
            handler="index.handler",
            code=lambda_.Code.from_asset(str(code), exclude=["**/__pycache__/**", "__pycache__"]),
            role=self.role,
            environment=dict(environment),
            environment_encryption=key,
            timeout=timeout,
            memory_size=memory_megabytes,
            log_group=log,
            dead_letter_queue=dead_letters,
            # One at a time would be enough for each, but a reserved concurrency of 1 makes SQS throttle its own
            # poller into the dead letters; the functions are idempotent instead.
        )
        acknowledge(
            self.function,
            "AwsSolutions-L1",
            reason=f"Every function runs on {RUNTIME.name}, supported and next to the interpreter of the tests.",
        )


_RETENTION = {
    7: logs.RetentionDays.ONE_WEEK,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}
