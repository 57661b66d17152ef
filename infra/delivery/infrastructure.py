# SPDX-License-Identifier: Apache-2.0
"""The delivery's stack: the deployer, what wakes it, what it remembers and whom it tells.

Endpoints, their configurations and models are the deployer's and not CloudFormation's: they follow approvals, not
deployments of this app. The custom resource makes the deployer remove them when the stack goes.
"""

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.delivery.alarms import EndpointAlarms
from infra.delivery.model_role import ModelRole
from infra.delivery.permissions import allow_deployments
from infra.foundation.infrastructure import Foundation
from infra.instances import has_local_nvme
from infra.lambda_function import Function
from infra.permissions import allow
from infra.queues import dead_letter_queue, work_queue
from infra.registry.infrastructure import Registry
from infra.settings import Settings
from infra.ssm_parameters import publish

DEPLOYER_TIMEOUT = cdk.Duration.minutes(5)


class Delivery(cdk.Stack):
    """Everything between an approval and an answering endpoint.

    Attributes:
        endpoint_name: Of the production endpoint, which the deployer makes.
        table: Deployment records.
        topic: Whom people subscribe to.
        callback_queue: Where DeployCandidate leaves its token.
        dead_letters: What nobody could handle.
        deployer: The reconciling function.
        endpoint_alarms: On the production endpoint; they roll an update back.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        foundation: Foundation,
        registry: Registry,
        **options: Any,
    ) -> None:
        super().__init__(scope, construct_id, description="mapgate: deployer, records, notifications", **options)
        self._settings = settings
        self._key = foundation.key
        self.endpoint_name = settings.prefix
        self.table = self._records()
        self.topic = self._notifications()
        self.dead_letters = dead_letter_queue(
            self, "DeadLetters", name="delivery-dead-letters", settings=settings, key=self._key
        )
        self.callback_queue = work_queue(
            self,
            "Callback",
            name="callback",
            settings=settings,
            key=self._key,
            handler_timeout=DEPLOYER_TIMEOUT,
            dead_letters=self.dead_letters,
        )
        self.endpoint_alarms = EndpointAlarms(self, "EndpointAlarms", settings=settings, topic=self.topic)
        model_role = ModelRole(self, "Model", settings=settings, foundation=foundation)
        self.deployer = self._deployer(foundation, registry, model_role.role)
        self._wake_on_events(registry)
        self._wake_on_callbacks()
        self._remove_deliveries_with_the_stack(model_role.role)
        self.add_stack_dependency(registry)  # versions go before their group
        publish(
            self,
            settings,
            {
                "endpoint-name": self.endpoint_name,
                "deployment-table": self.table.table_name,
                "notification-topic-arn": self.topic.topic_arn,
                "deployer-function": self.deployer.function.function_name,
            },
        )

    def _records(self) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            "Deployments",
            table_name=f"{self._settings.prefix}-deployments",
            partition_key=dynamodb.Attribute(name="EndpointName", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="Record", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self._key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=cdk.RemovalPolicy.DESTROY
            if self._settings.removal == "destroy"
            else cdk.RemovalPolicy.RETAIN,
        )

    def _notifications(self) -> sns.Topic:
        topic = sns.Topic(
            self,
            "Notifications",
            topic_name=f"{self._settings.prefix}-notifications",
            display_name=f"{self._settings.prefix} notifications",
            master_key=self._key,
            enforce_ssl=True,
        )
        # A topic policy of its own replaces the default one, which let the account's alarms in.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AllowAlarms",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        if self._settings.delivery.email:
            topic.add_subscription(subscriptions.EmailSubscription(self._settings.delivery.email))
        return topic

    def _deployer(self, foundation: Foundation, registry: Registry, model_role: iam.Role) -> Function:
        settings = self._settings
        delivery = settings.delivery
        environment = {
            "PREFIX": settings.prefix,
            "TABLE": self.table.table_name,
            "BUCKET": foundation.bucket.bucket_name,
            "MODEL_PACKAGE_GROUP": registry.group_name,
            "ENDPOINT_NAME": self.endpoint_name,
            "TOPIC_ARN": self.topic.topic_arn,
            "CALLBACK_QUEUE_URL": self.callback_queue.queue_url,
            "INFERENCE_INSTANCE_TYPE": delivery.instance_type,
            "INFERENCE_INSTANCE_COUNT": str(delivery.instance_count),
            "EXECUTION_ROLE_ARN": model_role.role_arn,
            "ALARM_NAMES": ",".join(self.endpoint_alarms.names),
            "CANARY_PERCENT": str(delivery.canary_percent),
            "DATA_CAPTURE_PERCENT": str(delivery.data_capture_percent),
        }
        # SageMaker refuses a key for volumes of instances that encrypt their own local storage.
        if settings.security.customer_managed_volumes and not has_local_nvme(delivery.instance_type):
            environment["KMS_KEY_ARN"] = self._key.key_arn
        if settings.network:
            environment["SUBNET_IDS"] = ",".join(settings.network.subnets)
            environment["SECURITY_GROUP_IDS"] = ",".join(settings.network.security_groups)
        deployer = Function(
            self,
            "Deployer",
            name="deployer",
            description="Makes SageMaker's endpoints what the deployment records desire",
            code=Path(__file__).with_name("deployer"),
            settings=settings,
            key=self._key,
            environment=environment,
            timeout=DEPLOYER_TIMEOUT,
            memory_megabytes=512,
            dead_letters=self.dead_letters,
        )
        allow(
            deployer.role,
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
            on=[self.table.table_arn],
        )
        allow(deployer.role, "sns:Publish", on=[self.topic.topic_arn])
        # While a candidate goes away the deployer reminds itself.
        allow(deployer.role, "sqs:SendMessage", on=[self.callback_queue.queue_arn])
        allow_deployments(
            deployer.role,
            settings=settings,
            foundation=foundation,
            group_name=registry.group_name,
            endpoint_name=self.endpoint_name,
            model_role=model_role,
        )
        return deployer

    def _wake_on_events(self, registry: Registry) -> None:
        """Wake the deployer by what SageMaker documents of versions and endpoints.

        A decision is one only when ModelApprovalStatus is among the updated fields: an edit of the metadata of a
        version that was approved long ago must not deploy it again.
        """
        patterns = {
            "Decisions": events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Package State Change"],
                detail={
                    "ModelPackageGroupName": [registry.group_name],
                    "ModelApprovalStatus": ["Approved", "Rejected"],
                    "UpdatedModelPackageFields": ["ModelApprovalStatus"],
                },
            ),
            "Endpoints": events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change"],
                detail={
                    "EndpointName": [self.endpoint_name, {"prefix": f"{self._settings.prefix}-candidate-"}],
                },
            ),
        }
        descriptions = {
            "Decisions": "A version was approved or rejected",
            "Endpoints": "The production endpoint or a candidate changed its state",
        }
        for name, pattern in patterns.items():
            rule = events.Rule(
                self,
                name,
                rule_name=f"{self._settings.prefix}-{name.lower()}",
                description=descriptions[name],
                event_pattern=pattern,
            )
            rule.add_target(
                targets.LambdaFunction(
                    self.deployer.function,
                    dead_letter_queue=self.dead_letters,
                    retry_attempts=8,
                    max_event_age=cdk.Duration.hours(6),
                )
            )

    def _wake_on_callbacks(self) -> None:
        self.deployer.function.add_event_source(event_sources.SqsEventSource(self.callback_queue, batch_size=1))

    def _remove_deliveries_with_the_stack(self, model_role: iam.Role) -> None:
        deliveries = cdk.CustomResource(
            self,
            "Deliveries",
            resource_type="Custom::Deliveries",
            service_token=self.deployer.function.function_arn,
            properties={"DeleteVersions": "true" if self._settings.removal == "destroy" else "false"},
        )
        # CloudFormation deletes in reverse: what the deployer works with must still be there.
        deliveries.node.add_dependency(self.deployer, self.table, self.topic, model_role)
