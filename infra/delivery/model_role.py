# SPDX-License-Identifier: Apache-2.0
"""The role under which a model serves: its image, its artifact, its log, and no more."""

from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.foundation.infrastructure import RELEASED, FoundationStack
from infra.permissions import EVERY_OBJECT, NO_RESOURCE, allow, allow_container, allow_key, allow_network
from infra.settings import Settings


class ModelRole(Construct):
    """The execution role of models and endpoints.

    Attributes:
        role: Which the deployer passes to SageMaker.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, foundation: FoundationStack) -> None:
        super().__init__(scope, construct_id)
        self.role = iam.Role(
            self,
            "Role",
            role_name=f"{settings.prefix}-model",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            description="What a serving model may do",
        )
        allow_container(
            self.role,
            repositories=[foundation.repositories["inference"]],
            log_group=f"/aws/sagemaker/Endpoints/{settings.prefix}*",
        )
        allow_network(self.role, settings)
        allow_key(self.role, foundation.key, writes=bool(settings.delivery.data_capture_percent))
        allow(self.role, "s3:GetObject", on=foundation.data_arns(RELEASED), because=EVERY_OBJECT)
        if settings.delivery.data_capture_percent:
            allow(self.role, "s3:PutObject", on=foundation.data_arns("data-capture"), because=EVERY_OBJECT)
        # SageMaker watches the roll-back alarms as this role.
        allow(self.role, "cloudwatch:DescribeAlarms", on=["*"], because=NO_RESOURCE)
