# SPDX-License-Identifier: Apache-2.0
"""Who may do what while an execution runs: the pipeline starts jobs, the jobs read and write their own prefixes."""

from collections.abc import Iterable

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from containers.tags import ImageName
from infra.delivery.infrastructure import DeliveryStack
from infra.foundation.infrastructure import FoundationStack
from infra.permissions import (
    EVERY_OBJECT,
    EVERY_VERSION,
    OWN_JOBS,
    allow,
    allow_container,
    allow_key,
    allow_network,
    allow_volumes,
    sagemaker_arns,
)
from infra.registry.infrastructure import RegistryStack
from infra.settings import Settings

TO_SAGEMAKER = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
# Both read what a run is given by parameters, which may be a file of the user's own or what a run before it left.
GIVEN = ("defaults", "executions", "inputs", "models", "released")


class JobRoles(Construct):
    """The roles of Processing and of Training jobs.

    Attributes:
        processing: Reads what people and steps put there, writes `executions/`.
        training: Reads the same, writes `models/`, `checkpoints/` and `tensorboard/`, and deletes old checkpoints.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, foundation: FoundationStack) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._foundation = foundation
        processing = settings.processing
        self.processing = self._role(
            "Processing",
            images=["training", "inference"],
            reads=["datasets"],
            writes=["executions"],
            # MeasureServing runs on the endpoint's type.
            instance_types=[
                processing.prepare_instance_type,
                processing.evaluate_instance_type,
                settings.delivery.instance_type,
            ],
        )
        allow_test_set(self.processing, settings)
        self.training = self._role(
            "Training",
            images=["training"],
            reads=["checkpoints"],
            writes=["models", "checkpoints", "tensorboard"],
            instance_types=settings.training.instance_types,
        )
        # What a training deletes in /opt/ml/checkpoints SageMaker deletes there, too.
        allow(self.training, "s3:DeleteObject", on=foundation.data_arns("checkpoints"), because=EVERY_OBJECT)

    def _role(
        self,
        kind: str,
        *,
        images: list[ImageName],
        reads: list[str],
        writes: list[str],
        instance_types: Iterable[str],
    ) -> iam.Role:
        settings, foundation = self._settings, self._foundation
        role = iam.Role(
            self,
            kind,
            role_name=f"{settings.prefix}-{kind.lower()}",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            description=f"What a {kind.lower()} job may do",
        )
        allow_container(
            role,
            repositories=[foundation.repositories[name] for name in images],
            log_group=f"/aws/sagemaker/{kind}Jobs",
        )
        allow_network(role, settings)
        allow_key(role, foundation.key, writes=True)
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OutputDataConfig.html asks for it beside.
        allow(role, "kms:Encrypt", on=[foundation.key.key_arn])
        allow(role, "s3:GetObject", on=foundation.data_arns(*GIVEN, *reads), because=EVERY_OBJECT)
        allow(role, "s3:PutObject", "s3:AbortMultipartUpload", on=foundation.data_arns(*writes), because=EVERY_OBJECT)
        allow(role, "s3:ListBucket", on=foundation.data_arns())
        allow_data_buckets(role, settings)
        allow_volumes(role, foundation.key, settings, instance_types)
        return role


class PipelineRole(Construct):
    """The role under which SageMaker runs the pipeline itself.

    Attributes:
        role: Starts jobs and functions, registers versions as pending and cannot approve one.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        foundation: FoundationStack,
        registry: RegistryStack,
        delivery: DeliveryStack,
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
        role = self.role
        processing = sagemaker_arns(stack, "processing-job/pipelines-*")
        training = sagemaker_arns(stack, "training-job/pipelines-*")
        group = sagemaker_arns(stack, f"model-package-group/{registry.group_name}")
        versions = sagemaker_arns(stack, f"model-package/{registry.group_name}/*")
        _allow_jobs(role, "ProcessingJob", on=processing)
        _allow_jobs(role, "TrainingJob", on=training)
        allow(role, "sagemaker:AddTags", on=[*processing, *training, *versions], because=OWN_JOBS)
        allow(role, "sagemaker:DescribeModelPackage", on=versions, because=EVERY_VERSION)
        # A version is born pending: the request must say so, or it is refused.
        allow(
            role,
            "sagemaker:CreateModelPackage",
            on=[*group, *versions],
            when={"StringEquals": {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}},
            because=EVERY_VERSION,
        )
        allow_registration(role, foundation)
        allow(role, "iam:PassRole", on=[jobs.processing.role_arn, jobs.training.role_arn], when=TO_SAGEMAKER)
        allow(role, "lambda:InvokeFunction", on=[function.function_arn for function in functions])
        allow(role, "sqs:SendMessage", on=[delivery.deployer.callback_queue.queue_arn])
        # CheckQuality reads evaluation.json, under the environment's key.
        allow(role, "s3:GetObject", on=foundation.data_arns("executions", "models"), because=EVERY_OBJECT)
        allow(role, "s3:ListBucket", on=foundation.data_arns())
        allow_key(role, foundation.key, writes=True)


def allow_data_buckets(role: iam.Role, settings: Settings) -> None:
    """Let a role read the buckets that the settings name besides the environment's own."""
    for bucket in settings.training.data_buckets:
        arn = cdk.Stack.of(role).format_arn(service="s3", region="", account="", resource=bucket)
        allow(role, "s3:GetObject", on=[f"{arn}/*"], because="The settings name this bucket as one of images.")
        allow(role, "s3:ListBucket", on=[arn])


def allow_test_set(role: iam.Role, settings: Settings) -> None:
    """Let a role read the test set that the gate's policy names, in whatever bucket, and nothing beside it."""
    if (named := settings.floor_policy.test_set) is None:
        return
    arn = cdk.Stack.of(role).format_arn(service="s3", region="", account="", resource=named.bucket)
    allow(role, "s3:GetObject", on=[f"{arn}/{named.prefix}*"], because="The gate's policy names this folder.")
    # A job lists the prefix that it is handed.
    allow(role, "s3:ListBucket", on=[arn], when={"StringLike": {"s3:prefix": f"{named.prefix}*"}})


def allow_image_digest(role: iam.Role, foundation: FoundationStack, *names: ImageName) -> None:
    """Let a role ask which image a tag names."""
    repositories = [foundation.repositories[name].repository_arn for name in names]
    allow(role, "ecr:DescribeImages", on=repositories)


def allow_registration(role: iam.Role, foundation: FoundationStack) -> None:
    """The registry looks at a version's image as whoever registers it or changes its containers."""
    allow(
        role,
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:DescribeImages",
        "ecr:GetDownloadUrlForLayer",
        on=[foundation.repositories["inference"].repository_arn],
    )


def _allow_jobs(role: iam.Role, kind: str, *, on: list[str]) -> None:
    actions = [f"sagemaker:{verb}{kind}" for verb in ("Create", "Describe", "Stop")]
    allow(role, *actions, on=on, because=OWN_JOBS)
