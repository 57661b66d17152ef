# SPDX-License-Identifier: Apache-2.0
"""The role under which a model serves: its image, its artifact, its log, and no more."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.foundation.infrastructure import Foundation
from infra.permissions import logs_and_metrics, network_interfaces
from infra.settings import Settings


class ModelRole(Construct):
    """The execution role of models and endpoints.

    Attributes:
        role: which the deployer passes to SageMaker.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, foundation: Foundation) -> None:
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        self.role = iam.Role(
            self,
            "Role",
            role_name=f"{settings.prefix}-model",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            description="What a serving model may do",
        )
        foundation.repositories["inference"].grant_pull(self.role)
        foundation.bucket.grant_read(self.role, "models/*")
        if settings.delivery.data_capture_percent:
            foundation.bucket.grant_put(self.role, "data-capture/*")
        foundation.key.grant_encrypt_decrypt(self.role)
        for statement in [
            *logs_and_metrics(stack, f"/aws/sagemaker/Endpoints/{settings.prefix}*"),
            # SageMaker watches the roll-back alarms as this role.
            iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=["*"]),
            *network_interfaces(settings),
        ]:
            self.role.add_to_policy(statement)
