# SPDX-License-Identifier: Apache-2.0
"""What the deployer may do to SageMaker: to what carries the environment's name, and to nothing else."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from infra.foundation.infrastructure import EVIDENCE, RELEASED, FoundationStack
from infra.permissions import (
    EVERY_OBJECT,
    EVERY_VERSION,
    NO_RESOURCE,
    allow,
    allow_signing,
    allow_volumes,
    sagemaker_arns,
)
from infra.settings import Settings

BY_VERSION = "The deployer names models, configurations, their alarms and candidates by the version that they serve."
EXECUTIONS = "Executions of the environment's own pipeline."


def allow_deployments(
    role: iam.Role,
    *,
    settings: Settings,
    foundation: FoundationStack,
    group_name: str,
    model_role: iam.Role,
) -> None:
    """Let the deployer read the registry, make and remove endpoints, and answer the pipeline."""
    stack = cdk.Stack.of(role)
    prefix = settings.prefix
    versions = sagemaker_arns(stack, f"model-package/{group_name}/*")
    models = sagemaker_arns(stack, f"model/{prefix}-v*", f"model/{prefix}-candidate-*")
    served = sagemaker_arns(stack, f"endpoint-config/{prefix}-v*")
    configurations = [*served, *sagemaker_arns(stack, f"endpoint-config/{prefix}-candidate-*")]
    candidates = sagemaker_arns(stack, f"endpoint/{prefix}-candidate-*")
    production = sagemaker_arns(stack, f"endpoint/{prefix}")
    endpoints = [*production, *candidates]

    allow(role, "sagemaker:DescribeModelPackage", on=versions, because=EVERY_VERSION)
    if settings.removal == "destroy":
        allow(role, "sagemaker:DeleteModelPackage", on=versions, because=EVERY_VERSION)
    allow(role, "sagemaker:CreateModel", "sagemaker:DeleteModel", on=models, because=BY_VERSION)
    # What production serves and with which settings decides how it is updated; what is there already under a name that
    # the deployer gives is held against what it would make.
    allow(role, "sagemaker:DescribeEndpointConfig", on=configurations, because=BY_VERSION)
    allow(role, "sagemaker:DescribeModel", on=models, because=BY_VERSION)
    allow(
        role,
        "sagemaker:CreateEndpointConfig",
        "sagemaker:DeleteEndpointConfig",
        on=configurations,
        because=BY_VERSION,
    )
    allow(role, "sagemaker:CreateEndpoint", on=[*endpoints, *configurations], because=BY_VERSION)
    allow(role, "sagemaker:UpdateEndpoint", on=[*production, *served], because=BY_VERSION)
    allow(role, "sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint", on=endpoints, because=BY_VERSION)
    allow(role, "sagemaker:InvokeEndpoint", on=candidates, because=BY_VERSION)
    allow(role, "sagemaker:AddTags", on=[*models, *configurations, *endpoints], because=BY_VERSION)
    allow(
        role,
        "sagemaker:ListEndpointConfigs",
        "sagemaker:ListEndpoints",
        "sagemaker:ListModelPackages",
        "sagemaker:ListModels",
        on=["*"],
        because=NO_RESOURCE,
    )
    allow(
        role,
        "sagemaker:SendPipelineExecutionStepSuccess",
        on=_executions(stack, settings),
        because=EXECUTIONS,
    )
    allow_step_failures(role, settings)
    alarms = stack.format_arn(
        service="cloudwatch",
        resource="alarm",
        resource_name=f"{prefix}-v*",
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    allow(role, "cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms", on=[alarms], because=BY_VERSION)
    allow(
        role,
        "iam:PassRole",
        on=[model_role.role_arn],
        when={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )
    allow_volumes(role, foundation.key, settings, [settings.delivery.instance_type])


def allow_verification(role: iam.Role, *, foundation: FoundationStack) -> None:
    """Let the deployer read all that a verdict rests on, release what passed, and sign what became of it."""
    read = foundation.data_arns("executions", "models", RELEASED, EVIDENCE)
    allow(role, "s3:GetObject", on=read, because=EVERY_OBJECT)
    # What is copied is the version of the artifact that was hashed.
    allow(role, "s3:GetObjectVersion", on=foundation.data_arns("models"), because=EVERY_OBJECT)
    allow(role, "s3:PutObject", on=foundation.data_arns(RELEASED, EVIDENCE), because=EVERY_OBJECT)
    # Without it a missing object is "forbidden" instead of "not found".
    allow(role, "s3:ListBucket", on=foundation.data_arns())
    allow(role, "ecr:DescribeImages", on=[foundation.repositories["inference"].repository_arn])
    allow_signing(role, foundation.signing_key)


def allow_step_failures(role: iam.Role, settings: Settings) -> None:
    """Let a role answer a Callback step of the environment's pipeline with a failure."""
    executions = _executions(cdk.Stack.of(role), settings)
    allow(role, "sagemaker:SendPipelineExecutionStepFailure", on=executions, because=EXECUTIONS)


def _executions(stack: cdk.Stack, settings: Settings) -> list[str]:
    return sagemaker_arns(stack, f"pipeline/{settings.prefix}", f"pipeline/{settings.prefix}/execution/*")
