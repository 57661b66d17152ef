# SPDX-License-Identifier: Apache-2.0
"""What wakes the deployer: decisions about versions, changes of its endpoints, callbacks, and the end of the stack."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda_event_sources as event_sources
from constructs import Construct

from infra.delivery.deployer_function import Deployer
from infra.registry.infrastructure import RegistryStack
from infra.settings import Settings


class Triggers(Construct):
    """The event rules, the queue's messages and the custom resource that end in one call of the deployer.

    A decision is one only when ModelApprovalStatus is among the updated fields: an edit of the metadata of a version
    that was approved long ago must not deploy it again.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        registry: RegistryStack,
        deployer: Deployer,
    ) -> None:
        super().__init__(scope, construct_id)
        self._prefix = settings.prefix
        self._deployer = deployer
        self._wake_on(
            "Decisions",
            "A version was approved or rejected",
            ["SageMaker Model Package State Change"],
            {
                "ModelPackageGroupName": [registry.group_name],
                "ModelApprovalStatus": ["Approved", "Rejected"],
                "UpdatedModelPackageFields": ["ModelApprovalStatus"],
            },
        )
        self._wake_on(
            "Endpoints",
            "The production endpoint or a candidate changed its state",
            ["SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change"],
            {"EndpointName": [settings.prefix, {"prefix": f"{settings.prefix}-candidate-"}]},
        )
        deployer.function.add_event_source(event_sources.SqsEventSource(deployer.callback_queue, batch_size=1))
        deliveries = cdk.CustomResource(
            self,
            "Deliveries",
            resource_type="Custom::Deliveries",
            service_token=deployer.function.function_arn,
            properties={"DeleteVersions": "true" if settings.removal == "destroy" else "false"},
        )
        # CloudFormation deletes in reverse.
        deliveries.node.add_dependency(*deployer.removes_with)

    def _wake_on(self, name: str, description: str, kinds: list[str], detail: dict[str, Any]) -> None:
        rule = events.Rule(
            self,
            name,
            rule_name=f"{self._prefix}-{name.lower()}",
            description=description,
            event_pattern=events.EventPattern(source=["aws.sagemaker"], detail_type=kinds, detail=detail),
        )
        rule.add_target(
            targets.LambdaFunction(
                self._deployer.function,
                dead_letter_queue=self._deployer.dead_letters,
                retry_attempts=8,
                max_event_age=cdk.Duration.hours(6),
            )
        )
