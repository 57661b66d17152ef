# SPDX-License-Identifier: Apache-2.0
"""What wakes the deployer: decisions about versions, changes of its endpoints, a clock, callbacks, the stack's end."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda_event_sources as event_sources
from constructs import Construct

from infra.delivery.deployer_function import Deployer
from infra.event_rules import look, wake
from infra.registry.infrastructure import RegistryStack
from infra.settings import Settings

DECISION = "SageMaker Model Package State Change"
ENDPOINT_CHANGES = ("SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change")
LOOK_MINUTES = 15


def decisions(group_name: str) -> dict[str, list[str]]:
    """Return what the detail of an event about a version says when its approval was given, refused or taken back.

    A decision is one only when ModelApprovalStatus is among the updated fields: an edit of the metadata of a version
    that was approved long ago must not deploy it again.
    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html#eventbridge-model-package
    """
    return {
        "ModelPackageGroupName": [group_name],
        "ModelApprovalStatus": ["Approved", "Rejected", "PendingManualApproval"],
        "UpdatedModelPackageFields": ["ModelApprovalStatus"],
    }


def endpoint_changes(prefix: str) -> dict[str, list[Any]]:
    """Return what the detail of an event about one of the deployer's endpoints says."""
    return {"EndpointName": [prefix, {"prefix": f"{prefix}-candidate-"}]}


class Triggers(Construct):
    """The event rules, the clock, the queue's messages and the custom resource that end in one call of the deployer."""

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
        wake(
            deployer.function,
            self,
            "Decisions",
            name=f"{settings.prefix}-decisions",
            description="A version was approved or rejected, or an approval was taken back",
            on=[DECISION],
            detail=decisions(registry.group_name),
            dead_letters=deployer.dead_letters,
        )
        wake(
            deployer.function,
            self,
            "Endpoints",
            name=f"{settings.prefix}-endpoints",
            description="The production endpoint or a candidate changed its state",
            on=list(ENDPOINT_CHANGES),
            detail=endpoint_changes(settings.prefix),
            dead_letters=deployer.dead_letters,
        )
        look(
            deployer.function,
            self,
            "Look",
            name=f"{settings.prefix}-look",
            description="Looks at every endpoint, because events may never come",
            every=cdk.Duration.minutes(LOOK_MINUTES),
            dead_letters=deployer.dead_letters,
        )
        deployer.function.add_event_source(event_sources.SqsEventSource(deployer.callback_queue, batch_size=1))
        deliveries = cdk.CustomResource(
            self,
            "Deliveries",
            resource_type="Custom::Deliveries",
            service_token=deployer.function.function_arn,
            properties={
                "DeleteVersions": "true" if settings.removal == "destroy" else "false",
                "Hosting": deployer.hosting,
            },
        )
        # CloudFormation deletes in reverse.
        deliveries.node.add_dependency(*deployer.removes_with)
