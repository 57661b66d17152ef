# SPDX-License-Identifier: Apache-2.0
"""The deployer as it is deployed: its function, the records that it keeps, the queues that it works through."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct, IDependable

from infra.delivery.notifications import Notifications
from infra.delivery.permissions import allow_deployments, allow_verification
from infra.delivery.step_failures_function import StepFailures
from infra.evidence_asset import evidence_asset
from infra.foundation.infrastructure import FoundationStack
from infra.instance_types import inference_ami
from infra.lambda_function import Function
from infra.permissions import allow
from infra.queues import dead_letter_queue, work_queue
from infra.registry.infrastructure import RegistryStack
from infra.removal import removal_policy
from infra.settings import Settings

TIMEOUT = cdk.Duration.minutes(10)
"""Fits reading an artifact of some gigabytes twice: before it is released, and the released copy."""


class Deployer(Construct):
    """The function that makes SageMaker's endpoints what the records desire, and what belongs to it alone.

    Attributes:
        table: Deployment records.
        callback_queue: Where DeployCandidate leaves its token.
        dead_letters: What nobody could handle.
        hosting: How production is hosted, as the function's environment says it.
        function: The Lambda function.
        role: What it may do.
        removes_with: What must still be there when it removes what it made.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        foundation: FoundationStack,
        registry: RegistryStack,
        notifications: Notifications,
        model_role: iam.Role,
    ) -> None:
        super().__init__(scope, construct_id)
        key = foundation.key
        self.table = self._records(settings, key)
        self.dead_letters = dead_letter_queue(
            self, "DeadLetters", name="delivery-dead-letters", settings=settings, key=key
        )
        self.callback_queue = work_queue(
            self,
            "Callback",
            name="callback",
            settings=settings,
            key=key,
            handler_timeout=TIMEOUT,
            dead_letters=StepFailures(
                self, "StepFailures", settings=settings, key=key, dead_letters=self.dead_letters
            ).queue,
        )
        self.hosting = hosting_variables(settings, key.key_arn)
        with evidence_asset(Path(__file__).with_name("deployer")) as code:
            deployer = Function(
                self,
                "Deployer",
                name="deployer",
                description="Makes SageMaker's endpoints what the deployment records desire",
                code=code,
                settings=settings,
                key=key,
                environment={
                    "TABLE": self.table.table_name,
                    "BUCKET": foundation.bucket.bucket_name,
                    "MODEL_PACKAGE_GROUP": registry.group_name,
                    "TOPIC_ARN": notifications.topic_arn,
                    "CALLBACK_QUEUE_URL": self.callback_queue.queue_url,
                    "EXECUTION_ROLE_ARN": model_role.role_arn,
                    "SIGNING_KEY_ARN": foundation.signing_key.key_arn,
                    "FLOOR_POLICY_SHA256": settings.floor_policy.sha256,
                    "INFERENCE_REPOSITORY": foundation.repositories["inference"].repository_uri,
                    **self.hosting,
                },
                timeout=TIMEOUT,
                # A processor of Lambda's comes with 1,769 MB: hashing takes one.
                memory_megabytes=1769,
                dead_letters=self.dead_letters,
            )
        self.function, self.role = deployer.function, deployer.role
        self.removes_with: list[IDependable] = [deployer, self.table, notifications, model_role]
        self._allow_own()
        allow(self.role, "sns:Publish", on=[notifications.topic_arn])
        allow_deployments(
            self.role,
            settings=settings,
            foundation=foundation,
            group_name=registry.group_name,
            model_role=model_role,
        )
        allow_verification(self.role, foundation=foundation)

    def _records(self, settings: Settings, key: kms.IKey) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            "Deployments",
            table_name=f"{settings.prefix}-deployments",
            partition_key=dynamodb.Attribute(name="EndpointName", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="Record", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=removal_policy(settings),
        )

    def _allow_own(self) -> None:
        actions = [f"dynamodb:{verb}" for verb in ("GetItem", "PutItem", "Query")]
        allow(self.role, *actions, on=[self.table.table_arn])
        # While a candidate goes away the deployer reminds itself.
        allow(self.role, "sqs:SendMessage", on=[self.callback_queue.queue_arn])


def hosting_variables(settings: Settings, key_arn: str) -> dict[str, str]:
    """Return what the deployer's environment says of endpoints: their names, their instances, their network."""
    delivery = settings.delivery
    variables = {
        "PREFIX": settings.prefix,
        "ENDPOINT_NAME": settings.prefix,
        "INFERENCE_INSTANCE_TYPE": delivery.instance_type,
        "INFERENCE_INSTANCE_COUNT": str(delivery.instance_count),
        "CANARY_PERCENT": str(delivery.canary_percent),
        "LATENCY_ALARM_MILLISECONDS": str(delivery.latency_alarm_milliseconds),
        "DATA_CAPTURE_PERCENT": str(delivery.data_capture_percent),
    }
    if settings.gives_volume_key(delivery.instance_type):
        variables["KMS_KEY_ARN"] = key_arn
    if ami := inference_ami(delivery.instance_type):
        variables["INFERENCE_AMI_VERSION"] = ami
    if settings.network:
        variables["SUBNET_IDS"] = ",".join(settings.network.subnets)
        variables["SECURITY_GROUP_IDS"] = ",".join(settings.network.security_groups)
    return variables
