# SPDX-License-Identifier: Apache-2.0
"""What wakes the deployer: decisions about versions, changes of its endpoints, callbacks, and the end of the stack."""

import aws_cdk as cdk
from aws_cdk import aws_lambda_event_sources as event_sources
from constructs import Construct

from infra.delivery.deployer_function import Deployer
from infra.event_rules import wake
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
        wake(
            deployer.function,
            self,
            "Decisions",
            name=f"{settings.prefix}-decisions",
            description="A version was approved or rejected",
            on=["SageMaker Model Package State Change"],
            detail={
                "ModelPackageGroupName": [registry.group_name],
                "ModelApprovalStatus": ["Approved", "Rejected"],
                "UpdatedModelPackageFields": ["ModelApprovalStatus"],
            },
            dead_letters=deployer.dead_letters,
        )
        wake(
            deployer.function,
            self,
            "Endpoints",
            name=f"{settings.prefix}-endpoints",
            description="The production endpoint or a candidate changed its state",
            on=["SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change"],
            detail={"EndpointName": [settings.prefix, {"prefix": f"{settings.prefix}-candidate-"}]},
            dead_letters=deployer.dead_letters,
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
