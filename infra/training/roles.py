# SPDX-License-Identifier: Apache-2.0
"""Who may do what while an execution runs: the pipeline starts jobs, the jobs read and write their own prefixes."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.delivery.infrastructure import Delivery
from infra.foundation.infrastructure import Foundation
from infra.permissions import logs_and_metrics, network_interfaces, sagemaker_arn
from infra.registry.infrastructure import Registry
from infra.settings import Settings

SAGEMAKER = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


class JobRoles(Construct):
    """The roles of Processing and of Training jobs.

    Attributes:
        processing: reads the bucket, writes `executions/`.
        training: reads the bucket, writes `models/` and `checkpoints/`.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, foundation: Foundation) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._foundation = foundation
        self.processing = self._role("Processing", images=["training", "inference"], writes=["executions/*"])
        self.training = self._role("Training", images=["training"], writes=["models/*", "checkpoints/*"])

    def _role(self, kind: str, *, images: list[str], writes: list[str]) -> iam.Role:
        settings, foundation = self._settings, self._foundation
        role = iam.Role(
            self,
            kind,
            role_name=f"{settings.prefix}-{kind.lower()}",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            description=f"What a {kind.lower()} job may do",
        )
        for name, repository in foundation.repositories.items():
            if name in images:
                repository.grant_pull(role)
        foundation.key.grant_encrypt_decrypt(role)
        foundation.bucket.grant_read(role)
        for prefix in writes:
            foundation.bucket.grant_put(role, prefix)
        for index, name in enumerate(settings.training.data_buckets):
            s3.Bucket.from_bucket_name(self, f"{kind}Data{index}", name).grant_read(role)
        # Volumes of a job are opened through a grant that its own role makes.
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["kms:CreateGrant"],
                resources=[foundation.key.key_arn],
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            )
        )
        for statement in logs_and_metrics(cdk.Stack.of(self), f"/aws/sagemaker/{kind}Jobs"):
            role.add_to_policy(statement)
        for statement in network_interfaces(settings):
            role.add_to_policy(statement)
        return role


class PipelineRole(Construct):
    """The role under which SageMaker runs the pipeline itself.

    Attributes:
        role: starts jobs and functions, registers versions as pending and cannot approve one.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        foundation: Foundation,
        registry: Registry,
        delivery: Delivery,
        jobs: JobRoles,
        functions: list[lambda_.Function],
    ) -> None:
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        self.role = iam.Role(
            self,
            "Role",
            role_name=f"{settings.prefix}-pipeline",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            description="What the pipeline may do; it cannot approve a version",
        )
        # Pipelines names its jobs pipelines-<execution id>-<step>-<random>.
        processing = sagemaker_arn(stack, "processing-job/pipelines-*")
        training = sagemaker_arn(stack, "training-job/pipelines-*")
        self._allow(
            "sagemaker:CreateProcessingJob",
            "sagemaker:DescribeProcessingJob",
            "sagemaker:StopProcessingJob",
            on=[processing],
        )
        self._allow(
            "sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob", on=[training]
        )
        group = sagemaker_arn(stack, f"model-package-group/{registry.group_name}")
        versions = sagemaker_arn(stack, f"model-package/{registry.group_name}/*")
        self._allow("sagemaker:AddTags", on=[processing, training, versions])
        self._allow("sagemaker:DescribeModelPackageGroup", "sagemaker:DescribeModelPackage", on=[group, versions])
        # A version is born pending: the request must say so, or it is refused.
        self._allow(
            "sagemaker:CreateModelPackage",
            on=[group, versions],
            when={"StringEquals": {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}},
        )
        self._allow("iam:PassRole", on=[jobs.processing.role_arn, jobs.training.role_arn], when=SAGEMAKER)
        for function in functions:
            function.grant_invoke(self.role)
        delivery.callback_queue.grant_send_messages(self.role)
        # CheckQuality reads evaluation.json.
        foundation.bucket.grant_read(self.role, "executions/*")
        foundation.key.grant_encrypt_decrypt(self.role)

    def _allow(self, *actions: str, on: list[str], when: dict[str, object] | None = None) -> None:
        self.role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=on, conditions=when))
